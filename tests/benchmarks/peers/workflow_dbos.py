"""DBOS on SQLite, as it comes.

Run by `workflow_peers.py` in an environment with DBOS.
"""

from pathlib import Path
from typing import Final

import workflow_work
from dbos import DBOS, DBOSConfig, SetWorkflowID
from workflow_tool import serve

_KILLED: Final = "killed"


@DBOS.step()
def inc(n: int, nap_s: float, trace: str) -> int:
    return workflow_work.inc(n, nap_s, trace)


@DBOS.workflow()
def chain(length: int, nap_s: float, trace: str, blob: str) -> int:
    n = 0
    for _ in range(length):
        n = inc(n, nap_s, trace)
    return n


class Dbos:
    """See the module."""

    def begin(self) -> None:
        config: DBOSConfig = {
            "name": "bench",
            "system_database_url": f"sqlite:///{Path('dbos.sqlite').absolute()}",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
        DBOS(config=config)
        DBOS.launch()

    def chain(self, length: int, nap_s: float = 0.0, trace: str = "") -> int:
        if not trace:
            return chain(length, nap_s, trace, "")
        with SetWorkflowID(_KILLED):
            return chain(length, nap_s, trace, "")

    def resume(self, length: int, nap_s: float, trace: str) -> int:
        del length, nap_s, trace  # they are kept; `launch` has begun to recover it
        found: int = DBOS.retrieve_workflow(_KILLED).get_result()
        return found

    def storage(self, length: int) -> int:
        before = _bytes()
        chain(length, 0.0, "", workflow_work.blob())
        return _bytes() - before

    def end(self) -> None:
        DBOS.destroy()


def _bytes() -> int:
    return sum(each.stat().st_size for each in Path().glob("dbos.sqlite*"))


if __name__ == "__main__":
    serve(Dbos)
