"""Records become the story that a person reads."""

from collections.abc import Iterable
from pathlib import Path

from flow_kernel.apps.timeline import Entry, Mark, Timeline
from flow_kernel.records.scan import read_records
from tests.apps.sample_log import SampleLog


def test_a_cell_tells_when_it_began_what_it_changed_and_what_it_imported(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    log.cell(
        "\n  import numpy as np\nx = np",
        added_vars=["np", "x"],
        changed_vars=["b"],
        mutated_vars=["a"],
        removed_vars=["tmp"],
        imports={"numpy": "2.3", "_ctypes": None, "secrets": None},
    )

    assert _story(log) == [
        Entry(
            mark=Mark.OK,
            timestamp="2026-03-02T09:30:01.000Z",
            session="a" * 32,
            plan_id="local",
            task_id="T-0001",
            seq=2,
            elapsed_ms=41.2,
            text="import numpy as np",
            added=("np", "x"),
            changed=("a", "b"),
            removed=("tmp",),
            imports=("numpy",),
        )
    ]


def test_behind_a_cell_magic_stands_what_it_runs(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    for code in ("%%bash\n\n  make test\nmake docs", "\n# load\nrows = 1", "%%isolated", "%who\nx"):
        log.cell(code)

    assert [entry.text for entry in _story(log)] == [
        "%%bash make test", "# load", "%%isolated", "%who",
    ]  # fmt: skip


def test_a_failure_shows_the_last_line_of_its_error(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    log.failed("1/0")
    log.failed("f()", error={"ename": "E", "evalue": "first\n  last\n", "line": None})
    log.failed("g()", error={"ename": "KeyboardInterrupt", "evalue": ""}, status="interrupted")
    log.failed("h()", error={"ename": "Aborted", "evalue": ""}, status="aborted")

    assert [(entry.mark, entry.note) for entry in _story(log)] == [
        (Mark.ERROR, "ZeroDivisionError: division by zero (line 1)"),
        (Mark.ERROR, "E: last"),
        (Mark.INTERRUPTED, "KeyboardInterrupt"),
        (Mark.ABORTED, "not run: an earlier cell failed"),
    ]


def test_nested_cells_follow_the_cell_that_ran_them_deeper(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    outer = log.start("%run a.py")
    inner = log.start("a()", parent_span_id=outer["span_id"])
    log.cell("b()", parent_span_id=inner["span_id"])
    log.end(inner)
    log.cell("c()", parent_span_id=outer["span_id"])
    log.end(outer)
    log.cell("d()")

    assert [(entry.depth, entry.text) for entry in _story(log)] == [
        (0, "%run a.py"),
        (1, "a()"),
        (2, "b()"),
        (1, "c()"),
        (0, "d()"),
    ]


def test_a_death_is_told_at_the_cell_that_caused_it(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    fatal = log.start("os.abort()")
    inner = log.start("boom()", parent_span_id=fatal["span_id"])
    log.death(fatal)
    idle = SampleLog(tmp_path, session="c" * 32)
    idle.death(reason="killed", signal=None, exit_code=3)

    assert inner["parent_span_id"] == fatal["span_id"]
    assert [(entry.mark, entry.seq, entry.text, entry.note) for entry in _story(log)] == [
        (
            Mark.DEATH,
            1,
            "os.abort()",
            "kernel died: segmentation fault (signal 11)",
        ),
        (
            Mark.DEATH,
            1,
            "kernel died while idle: killed from outside, or os._exit (exit code 3)",
            "",
        ),
    ]


def test_a_cell_without_an_end_runs_or_is_lost(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    log.start("alive()")
    gone = SampleLog(tmp_path, session="d" * 32)
    gone.start("lost()")

    assert [(entry.mark, entry.text) for entry in _story(log, alive={"a" * 32})] == [
        (Mark.RUNNING, "alive()"),
        (Mark.LOST, "lost()"),
    ]


def test_hidden_requests_and_pauses_say_what_they_are(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    log.hidden(1)
    log.hidden(12)
    log.hidden(2, reason="paused")
    log.hidden(1, reason="record: false")
    log.put("late", msg_id="m", span_id="s", stream="stdout", text="later")

    assert [entry.text for entry in _story(log)] == [
        "1 request of a tool, not recorded as cells",
        "12 requests of a tool, not recorded as cells",
        "2 cells not recorded: recording was paused",
        "1 cell not recorded: marked record: false",
    ]


def test_records_with_fields_of_other_types_still_tell_something() -> None:
    timeline = Timeline()
    odd = {
        "kind": "cell",
        "success": False,
        "error": 3,
        "code": None,
        "added_vars": "x",
        "seq": "1",
    }

    (entry,) = timeline.feed(odd)

    assert (entry.mark, entry.seq, entry.text, entry.added, entry.note) == (
        Mark.ERROR,
        0,
        "",
        (),
        "",
    )


def _story(log: SampleLog, *, alive: Iterable[str] = ()) -> list[Entry]:
    timeline = Timeline()
    entries = [e for record in read_records([log.path]) for e in timeline.feed(record)]
    return [*entries, *timeline.unfinished(lambda session: session in set(alive))]


def test_a_run_of_a_workflow_is_one_entry_once_it_is_over_or_waits() -> None:
    run = {
        "kind": "run",
        "workflow": "etl",
        "run_id": "R-0007",
        "started_at": "2026-11-30T10:00:00.000Z",
        "completed_at": "2026-11-30T10:00:01.500Z",
        "status": "failed",
        "reason": "save failed",
        "seq": 9,
    }
    timeline = Timeline()

    told = [
        [*timeline.feed({**run, "status": "running"})],
        [*timeline.feed({**run, "step_id": "save", "state": "error"})],
        [(e.mark, e.elapsed_ms, e.text, e.note) for e in timeline.feed(run)],
        [e.mark for e in timeline.feed({**run, "status": "waiting", "completed_at": None})],
    ]

    assert told == [
        [],
        [],
        [(Mark.ERROR, 1500.0, "workflow etl (R-0007)", "save failed")],
        [Mark.RUNNING],
    ]
