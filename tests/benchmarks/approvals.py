"""How long a waiting cell needs to see a decision that another process has made.

Called by `run.py`.

The peer is what is written without a library: a loop that looks into an SQLite table every 50 ms.
The one who decides is a process of its own in both cases. It reads the clock after its commit, and
the waiting side reads the same clock when it goes on.
"""

import random
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Final

from harness import (
    Bench,
    Benchmark,
    Figure,
    Result,
    Target,
    alone,
    alternate,
    pairs_of,
    side_by_side,
)

from flow_kernel.errors import ApprovalPending
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.approval_parts import ApprovalParts, Wish
from flow_kernel.session.approvals import Approvals
from flow_kernel.session.cell import CellRequest, OpenCell
from flow_kernel.session.place import Place, Whereabouts
from flow_kernel.store.sqlite import SqliteStore

_RELEASE: Final = Figure(
    name="approval_release",
    title="decision in another process until the cell goes on",
    unit="ms",
    target=Target(at_most=25),
)
_PARKED: Final = Figure(
    name="approval_parked",
    title="threads and processes held by a parked question",
    unit="processes",
    target=Target(at_most=0),
)
_POLL_S: Final = 0.05
_SETTLE_S: Final = 0.03  # the waiting side is surely in its loop by then

_DECIDER: Final = """
import sqlite3, sys, time
from pathlib import Path
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.store.sqlite import SqliteStore
desk = ApprovalDesk(SqliteStore(Path(sys.argv[1])), now=utc_now_ms, redact=str)
peer = sqlite3.connect(sys.argv[2], isolation_level=None)
for line in sys.stdin:
    who, name = line.split()
    if who == "ours":
        desk.decide(name, "approve", by="ann", channel="cli")
    else:
        peer.execute("UPDATE question SET answer = 'yes' WHERE id = ?", (name,))
    print(time.monotonic_ns(), flush=True)
"""


class _Desk:
    """A waiting side of both kinds, and the process that decides."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._rng = rng
        self.store = SqliteStore(folder / "flow.db")
        place = Place("local", "T-0000", "0" * 32)
        request = CellRequest("cell", {}, {}, None, None, 1)
        cell = OpenCell(request, place=place, key="k", span_id="0", thread=0, stream_chars=0)
        self.approvals = Approvals(
            ApprovalParts(
                store=self.store,
                where=Whereabouts("0" * 32, "local", "T-0000", on_move=lambda _: None),
                running=lambda: cell,
                prompter=None,
                session="0" * 32,
                actor="bench",
                person=lambda: "bench",
                now=utc_now_ms,
                carry=lambda: None,
                redact=str,
            )
        )
        self.approvals.desk.list()
        self._peer_path = folder / "peer.db"
        with closing(sqlite3.connect(self._peer_path, isolation_level=None)) as peer:
            peer.execute("PRAGMA journal_mode=WAL")
            peer.execute("CREATE TABLE question (id TEXT PRIMARY KEY, answer TEXT)")
        self.decider = subprocess.Popen(
            [sys.executable, "-c", _DECIDER, str(folder / "flow.db"), str(self._peer_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self.decider.communicate()
        self.store.close()

    def ours(self, turn: int) -> float:
        """Milliseconds from the decision to the end of the wait."""
        decided = self._decide_soon("ours", f"A-{turn + 1:04d}")
        with redirect_stdout(StringIO()):
            self.approvals.request(Wish(message=f"Go {turn}?", park=False))
        return self._since(decided)

    def peer(self, turn: int) -> float:
        """The same of a loop that looks every 50 ms."""
        with closing(sqlite3.connect(self._peer_path, isolation_level=None)) as waiting:
            waiting.execute("INSERT INTO question VALUES (?, NULL)", (str(turn),))
            decided = self._decide_soon("peer", str(turn))
            ask = "SELECT answer FROM question WHERE id = ?"
            while waiting.execute(ask, (str(turn),)).fetchone()[0] is None:
                time.sleep(_POLL_S)
        return self._since(decided)

    def _decide_soon(self, who: str, name: str) -> "_Decided":
        # At any moment between two looks: a fixed one would meet both loops at one place.
        return _Decided(self.decider, f"{who} {name}\n", _SETTLE_S + self._rng.random() * _POLL_S)

    @staticmethod
    def _since(decided: "_Decided") -> float:
        now = time.monotonic_ns()
        return (now - decided.at_ns()) / 1e6


class _Decided:
    """A decision that is made a little later, and when it was."""

    def __init__(self, decider: "subprocess.Popen[str]", line: str, after_s: float) -> None:
        self._decider = decider
        self._timer = threading.Timer(after_s, self._send, (line,))
        self._timer.start()

    def _send(self, line: str) -> None:
        assert self._decider.stdin is not None
        self._decider.stdin.write(line)
        self._decider.stdin.flush()

    def at_ns(self) -> int:
        assert self._decider.stdout is not None
        self._timer.join()
        return int(self._decider.stdout.readline())


def _release(bench: Bench) -> list[Result]:
    with closing(_Desk(bench.folder("approvals"), bench.rng)) as desk:
        taken = alternate(bench.count(60, 3), bench.rng, ours=desk.ours, peer=desk.peer)
    return [side_by_side(_RELEASE, pairs_of(taken), peer="a loop over SQLite every 50 ms")]


def _parked(bench: Bench) -> list[Result]:
    with closing(_Desk(bench.folder("parked"), bench.rng)) as desk:
        before = threading.active_count()
        with suppress(ApprovalPending):
            desk.approvals.request(Wish(message="Go?", park=True))
        held = threading.active_count() - before
    return [alone(_PARKED, [float(held)])]


BENCHMARKS: Final = (
    Benchmark(name="approval_release", about=_RELEASE.title, run=_release),
    Benchmark(name="approval_parked", about=_PARKED.title, run=_parked),
)
