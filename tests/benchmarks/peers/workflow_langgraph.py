"""LangGraph with its SqliteSaver.

Run by `workflow_peers.py` in an environment with both; the argument is `default` (`synchronous`
is FULL), `normal` (it is NORMAL), or `sync` (FULL, and no step begins before the last is kept).
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypedDict

import workflow_work
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from workflow_tool import serve

_FILE: Final = "langgraph.sqlite"


class State(TypedDict, total=False):
    n: int
    blob: str


class LangGraph:
    """See the module."""

    def __init__(self, how: str) -> None:
        self._more: dict[str, Any] = {"durability": "sync"} if how == "sync" else {}
        self._is_full = how != "normal"
        self._graphs: dict[tuple[int, float, str], Any] = {}
        self._threads = 0

    def begin(self) -> None:
        self._saver = self._open(_FILE)

    def chain(self, length: int, nap_s: float = 0.0, trace: str = "") -> int:
        self._threads += 1
        return self._invoke(length, nap_s, trace, {"n": 0}, "killed" if trace else self._threads)

    def resume(self, length: int, nap_s: float, trace: str) -> int:
        return self._invoke(length, nap_s, trace, None, "killed")

    def storage(self, length: int) -> int:
        name = "storage.sqlite"
        saver = self._open(name)
        graph = self._build(length, 0.0, "", saver)
        graph.invoke({"n": 0, "blob": workflow_work.blob()}, _config("storage", length))
        saver.conn.close()
        return sum(each.stat().st_size for each in Path().glob(f"{name}*"))

    def end(self) -> None:
        self._saver.conn.close()

    def _open(self, name: str) -> SqliteSaver:
        saver = SqliteSaver(sqlite3.connect(name, check_same_thread=False))
        saver.setup()
        if not self._is_full:
            saver.conn.execute("PRAGMA synchronous=NORMAL")
        with closing(saver.conn.execute("PRAGMA synchronous")) as found:
            if found.fetchone()[0] != 1 + self._is_full:
                raise ValueError("it is another durability than the one that is measured")
        return saver

    def _invoke(self, length: int, nap_s: float, trace: str, state: Any, thread: Any) -> int:
        key = (length, nap_s, trace)
        if key not in self._graphs:
            self._graphs[key] = self._build(*key, self._saver)
        found: int = self._graphs[key].invoke(state, _config(thread, length), **self._more)["n"]
        return found

    def _build(self, length: int, nap_s: float, trace: str, saver: SqliteSaver) -> Any:
        def step(state: State) -> State:
            return {"n": workflow_work.inc(state["n"], nap_s, trace)}

        graph = StateGraph(State)
        names = [f"s{at}" for at in range(length)]
        for name in names:
            graph.add_node(name, step)
        for one, other in zip([START, *names], [*names, END], strict=True):
            graph.add_edge(one, other)
        return graph.compile(checkpointer=saver)


def _config(thread: Any, length: int) -> Any:
    return {"configurable": {"thread_id": str(thread)}, "recursion_limit": length + 10}


if __name__ == "__main__":
    serve(lambda: LangGraph(sys.argv[1]))
