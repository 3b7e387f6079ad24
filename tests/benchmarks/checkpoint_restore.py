"""All variables of a checkpoint into a process that has just started.

Called by `checkpoint_measures.py`. Ours is a kernel and a cell with `%rollback`, from the request
to `idle`; a pickler is a new interpreter that loads its file. It is given the user's functions
first, of which pickle keeps only the names.
"""

from pathlib import Path
from typing import Final

from checkpoint_process import FLOW, PLAIN, ToolFailedError, ToolProcess
from checkpoint_session import FUNCTIONS
from live import Kernel, KernelLostError

_LIBRARIES: Final = "import numpy, pandas"
_MODELS: Final = "\nimport sklearn.ensemble, sklearn.linear_model"

_WHY: Final = """\
import flow_kernel
try:
    flow_kernel.current_session().rollback("{checkpoint_id}", what="state")
    why = "it failed once and worked the second time"
except Exception as error:
    why = str(error)
open("why.txt", "w").write(why)
"""


def restored_ms(
    tool: ToolProcess, checkpoint_id: str, folder: Path, *, warm: bool, has_models: bool
) -> float:
    """How long it takes.

    Args:
        tool: Whose checkpoint it is; its process goes on.
        checkpoint_id: As the tool gave it.
        folder: An empty directory.
        warm: True to import the libraries of the values before the clock starts.
        has_models: Whether scikit-learn is one of them.
    """
    libraries = _LIBRARIES + (_MODELS if has_models else "")
    if tool.kind in (FLOW, PLAIN):
        home = tool.folder
        argv = (tool.python, "-m", "flow_kernel", "-f", "{connection_file}")
        env = {"FLOW_HOME": str(home / ".flow"), "JUPYTER_DATA_DIR": str(home / "data")}
        with Kernel(argv, folder, env=env) as kernel:
            kernel.execute(libraries if warm else "1 + 1")
            try:
                took = kernel.execute(f"%rollback {checkpoint_id} --state", timeout_s=600).idle_ms
            except KernelLostError:
                kernel.execute(_WHY.format(checkpoint_id=checkpoint_id))
                why = (folder / "why.txt").read_text(encoding="utf-8")
                raise ToolFailedError(why) from None
            kernel.execute("assert len(nested) and df.shape[1] == 10")
            return took
    twin = ToolProcess(tool.kind, folder, here=tool.is_here)
    try:
        twin.ask("quiet", code=FUNCTIONS)
        twin.ask("quiet", code=libraries if warm else "1 + 1")
        return float(twin.ask("back", to=str(tool.folder / checkpoint_id))["ms"])
    finally:
        twin.close()
