"""Makes Kishu follow the kernel that this runs in, without storing a checkpoint after each cell.

Run by `peers.py` as the first cell. What is left is Kishu's counterpart of a recorder: which
variables each cell created, changed and deleted.
"""

import os
from pathlib import Path
from typing import Any

import nbformat

notebook = Path.cwd() / "notebook.ipynb"
nbformat.write(nbformat.v4.new_notebook(), notebook)
os.environ["TEST_NOTEBOOK_PATH"] = str(notebook)
os.environ["ENV_KISHU_TEST_MODE"] = "1"
os.environ["KISHU_PATH_ROOT"] = str(Path.cwd())

from kishu import init_kishu  # noqa: E402  # reads the environment when it is imported
from kishu.jupyterint import KishuForJupyter  # noqa: E402


def _follow_only(self: Any, entry: Any, _: object = None) -> None:
    entry.commit_id = self._commit_id()
    took_s = (entry.end_time or 0) - (entry.start_time or 0)
    self._cr_planner.post_run_cell_update(entry.commit_id, entry.raw_cell, took_s)
    self._kishu_graph.step(entry.commit_id)


KishuForJupyter._commit_entry = _follow_only
init_kishu()
