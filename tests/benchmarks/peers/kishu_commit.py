"""Makes Kishu record the kernel that this runs in: one commit a cell, as its users have it.

Run by `peers.py` as the first cell. The saving of the notebook by the browser is left out (there is
none), which is to Kishu's advantage.
"""

import os
from pathlib import Path

import nbformat

notebook = Path.cwd() / "notebook.ipynb"
nbformat.write(nbformat.v4.new_notebook(), notebook)
os.environ["TEST_NOTEBOOK_PATH"] = str(notebook)
os.environ["ENV_KISHU_TEST_MODE"] = "1"
os.environ["KISHU_PATH_ROOT"] = str(Path.cwd())

from kishu import init_kishu  # noqa: E402  # reads the environment when it is imported

init_kishu()
