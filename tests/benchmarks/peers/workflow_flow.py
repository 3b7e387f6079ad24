"""Our workflows, answering like an engine of others.

Run by `workflow_peers.py` with the interpreter that it has itself; the argument is the executor,
and `durable` behind it for steps that survive a power loss.
"""

import sys
from pathlib import Path
from typing import Any, Final

import workflow_work
from workflow_home import INC, BenchHome
from workflow_tool import serve

from flow_kernel.workflow.views import Run

_TRACED: Final = f"""\
import json, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import workflow_work
with open(sys.argv[2]) as file:
    v = json.load(file)
print(json.dumps({{"n": workflow_work.inc(v["n"], v["nap_s"], v["trace"])}}))
"""


class Flow:
    """See the module."""

    def __init__(self, executor: str, *more: str) -> None:
        self._executor = executor
        self._is_durable = "durable" in more
        self._chains: dict[tuple[int, str], Any] = {}

    def begin(self) -> None:
        self._home = BenchHome(Path.cwd())

    def chain(self, length: int, nap_s: float = 0.0, trace: str = "") -> int:
        script = _TRACED if trace else INC
        if (length, script) not in self._chains:
            self._chains[length, script] = self._home.chain(length, script)
        row = self._home.begin(
            self._chains[length, script],
            self._executor,
            {"nap_s": nap_s, "trace": trace},
            is_durable=self._is_durable,
        )
        return _last(self._home.service.run(row))

    def resume(self, length: int, nap_s: float, trace: str) -> int:
        del length, nap_s, trace  # they are kept
        book = self._home.service.book
        (row,) = book.unfinished()
        return _last(self._home.service.run(book.claim(row.run_id)))

    def storage(self, length: int) -> int:
        folder = Path("storage")
        folder.mkdir()
        home = BenchHome(folder.absolute())
        home.run(home.chain(length), self._executor, {"blob": workflow_work.blob()})
        return home.size()

    def end(self) -> None:
        self._home.close()


def _last(run: Run) -> int:
    if not run.success:
        raise ValueError(str(run))
    found: int = run.output_data["n"]
    return found


if __name__ == "__main__":
    serve(lambda: Flow(*sys.argv[1].split()))
