"""A process that asks, answers and uses is killed at any write: what it said it did is still so."""

import random
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.session.asking import Asker
from tests.store.stores import verdict_of_sqlite

PROGRAM = """
import sys
from pathlib import Path
from flow_kernel.errors import ApprovalPending
from flow_kernel.records.journal import utc_now_ms
from tests.session.asking import Asker
asker = Asker(Path(sys.argv[1]), now=utc_now_ms)
for n in range(int(sys.argv[2]), 10_000):
    for deed in ("open", "approved", "used"):
        asker.cell(f"cell {n}")
        if deed == "approved":
            asker.approvals.decide(approval_id, "approve", by="ann", channel="cli")
        else:
            try:
                approval_id = asker.ask("Go?", park=True, remind_s=60).approval_id
            except ApprovalPending as pending:
                approval_id = pending.approval_id
        print(n, approval_id, deed, flush=True)
"""
RANKS = {"open": 0, "approved": 1, "used": 2}


def test_no_question_answer_or_use_is_lost_to_a_kill_and_none_is_used_twice(
    tmp_path: Path,
) -> None:
    dice = random.Random(7)
    said: list[list[str]] = []
    for _ in range(6):
        start = int(said[-1][0]) + 1 if said else 0
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), str(start)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as process:
            assert process.stdout is not None
            said += [process.stdout.readline().split() for _ in range(dice.randrange(1, 25))]
            process.send_signal(signal.SIGKILL)
            said += [words for line in process.stdout if len(words := line.split()) == 3]

    assert verdict_of_sqlite(tmp_path / "flow.db") == "ok"
    with closing(Asker(tmp_path)) as asker:
        rows = {row.approval_id: row for row in asker.approvals.desk.list()}
        with asker.store.write() as change:
            notes = [row.fields for row in change.waiting(limit=10_000)]
    for _, approval_id, deed in said:
        row = rows[approval_id]
        assert (2 if row.is_used else RANKS[row.status]) >= RANKS[deed]
    used = [note["approval_id"] for note in notes if note["is_used"]]
    assert sorted(used) == sorted(row.approval_id for row in rows.values() if row.is_used)
