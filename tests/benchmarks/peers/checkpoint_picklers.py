"""dill, cloudpickle and pickle as checkpoint tools: all variables into one file each time.

Run by `checkpoints.py` in an environment with all three; the argument says which. The session is
`__main__`, so functions of the user go the way that each of them has for those. Nothing is synced
to the disk, which is to their advantage. Only the newest file is kept.
"""

import sys

from checkpoint_tool import serve
from pickler_tools import Cloudpickle, Dill, Pickle

if __name__ == "__main__":
    serve({"dill": Dill, "cloudpickle": Cloudpickle, "pickle": Pickle}[sys.argv[1]])
