"""papermill: a notebook for each step, one after the other.

Run by `workflow_peers.py` in an environment with papermill and ipykernel. It runs one notebook at
a time and keeps no state of a chain, so a chain that was killed is begun anew.
"""

import json
from pathlib import Path
from typing import Any, Final

import papermill
from workflow_tool import serve

_NOTEBOOK: Final = Path("step.ipynb")
_CODE: Final = """\
import json, pathlib, workflow_work
pathlib.Path("out.json").write_text(json.dumps(workflow_work.inc(n, nap_s, trace)))
"""


class Papermill:
    """See the module."""

    def begin(self) -> None:
        cells = [_cell("n, nap_s, trace = 0, 0.0, ''", "parameters"), _cell(_CODE)]
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
        notebook = {
            "cells": cells,
            "metadata": {"kernelspec": kernel},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        _NOTEBOOK.write_text(json.dumps(notebook), encoding="utf-8")

    def chain(self, length: int, nap_s: float = 0.0, trace: str = "") -> int:
        n = 0
        for _ in range(length):
            papermill.execute_notebook(
                str(_NOTEBOOK),
                "out.ipynb",
                parameters={"n": n, "nap_s": nap_s, "trace": trace},
                kernel_name="python3",
                progress_bar=False,
            )
            n = json.loads(Path("out.json").read_text(encoding="utf-8"))
        return n

    def resume(self, length: int, nap_s: float, trace: str) -> int:
        return self.chain(length, nap_s, trace)

    def storage(self, length: int) -> None:
        del length

    def end(self) -> None:
        pass


def _cell(source: str, *tags: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": tags[0] if tags else "code",
        "source": source,
        "metadata": {"tags": list(tags)},
        "outputs": [],
        "execution_count": None,
    }


if __name__ == "__main__":
    serve(Papermill)
