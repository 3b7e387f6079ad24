"""`jupyter flow log`: the table, the records, and what is left out."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flow_kernel.records.lease import take
from tests.apps.running import Cli
from tests.apps.sample_log import SampleLog


@pytest.fixture
def home() -> Path:
    """The home of the working directory."""
    return Path(".flow").absolute()


def test_the_table_shows_time_seq_sign_elapsed_code_changes_and_errors(
    cli: Cli, home: Path
) -> None:
    log = SampleLog(home)
    log.cell("df = read()", added_vars=["df"], imports={"read": None})
    log.failed("df.sort(\n)", changed_vars=["df"], removed_vars=["tmp"])
    other = SampleLog(home, session="b" * 32, start=log.clock + timedelta(days=1))
    other.cell("print('日本')", elapsed_ms=65_000)

    assert cli("log").lines == [
        "Mon 02 Mar 2026 · session aaaaaaaa",
        "time       seq        elapsed  cell            changed",
        "09:30:01     2  ✓       41 ms  df = read()     +df · +read",
        "09:30:03     4  ✗       41 ms  df.sort(        ~df -tmp",
        "                               ZeroDivisionError: division by zero (line 1)",
        "",
        "Tue 03 Mar 2026 · session bbbbbbbb",
        "09:30:05     2  ✓  1 min 05 s  print('日本')",
    ]


def test_several_tasks_are_merged_by_time_and_named(cli: Cli, home: Path) -> None:
    first = SampleLog(home, task="T-0001")
    second = SampleLog(home, task="T-0002", session="b" * 32, start=first.clock)
    first.cell("a1")
    second.cell("b1")
    second.cell("b2")
    first.cell("a2")

    cells = [line.split()[2:] for line in cli("log").lines if "✓" in line]

    assert [(task, code) for task, _, _, _, code in cells] == [
        ("local/T-0001", "a1"),
        ("local/T-0002", "b1"),
        ("local/T-0001", "a2"),
        ("local/T-0002", "b2"),
    ]


@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_no_line_is_wider_than_the_screen(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    log = SampleLog(home)
    log.failed("x" * 500, added_vars=[f"name_{n}" for n in range(99)], ename="E" * 300)

    assert max(map(len, cli("log").lines)) <= int(columns)


def test_nothing_that_a_cell_printed_reaches_the_screen_as_a_command(cli: Cli, home: Path) -> None:
    evil = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202eevil"
    log = SampleLog(home)
    log.failed(f"print('{evil}')", ename=evil, added_vars=[evil])

    for verb in (["log"], ["log", "--failed"], ["stats"], ["check"]):
        text = cli(*verb).out
        assert not {c for c in text if c < " " and c != "\n"} | set(text) & set("\x9b\u202e\x7f")


def test_json_gives_the_records_as_they_are_stored(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    log.cell("é = '日本'")
    log.hidden()

    assert cli("log", "--json").out.encode() == log.path.read_bytes()


def test_filters_choose_records_by_task_plan_time_failure_and_number(cli: Cli, home: Path) -> None:
    now = datetime.now(UTC)
    old = SampleLog(home, start=now - timedelta(days=3))
    old.cell("old")
    old.failed("old failure")
    new = SampleLog(home, task="T-0002", session="b" * 32, start=now - timedelta(hours=1))
    new.cell("new")
    new.failed("new failure")
    new.death()

    def seqs(*options: str) -> list[tuple[str, int]]:
        records = [json.loads(line) for line in cli("log", "--json", *options).lines]
        return [(record["task_id"], record["seq"]) for record in records]

    assert seqs("--task", "T-0001") == [("T-0001", n) for n in (1, 2, 3, 4)]
    assert seqs("--since", "2h") == [("T-0002", n) for n in (1, 2, 3, 4, 5)]
    assert seqs("--failed") == [("T-0001", 4), ("T-0002", 4), ("T-0002", 5)]
    assert seqs("--failed", "--limit", "2") == [("T-0002", 4), ("T-0002", 5)]
    assert seqs("--limit", "0") == []
    assert cli("log", "--plan", "other").code == 2


def test_a_running_cell_is_shown_as_running_by_its_lease(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    log.start("work()")
    lost = cli("log").out
    (home / "run").mkdir()
    take(
        home / "run",
        session=log.session,
        plan_id="local",
        task_id="T-0001",
        started_at="2026-03-02T09:30:00.000Z",
        notebook="",
    )

    assert re.search(r"\? +work\(\)\n", lost)
    assert "no end on record yet" in lost
    assert re.search(r"▸ +work\(\)\n$", cli("log").out)
    assert re.search(r"▸ +work\(\)\n$", cli("log", "--file", str(log.path)).out)


def test_damage_is_left_out_and_said_once_on_stderr(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    log.cell("good()")
    log.raw(b'{"v":1,"kind":"cell","session":"torn\n\xff\xfe\n')
    log.cell("also good()")

    for options in ([], ["--json"]):
        done = cli("log", *options)
        assert done.code == 0
        assert done.err == "2 damaged lines were left out; try: jupyter flow check\n"
        assert "also good()" in done.out


def test_a_hundred_tasks_are_merged_in_order(cli: Cli, home: Path) -> None:
    for number in range(100):
        log = SampleLog(home, task=f"T-{number:04d}", session=f"{number:032x}")
        for _ in range(70):
            log.cell()

    stamps = [json.loads(line)["timestamp"] for line in cli("log", "--json").lines]

    assert len(stamps) == 100 * 140
    assert stamps == sorted(stamps)


def test_rotated_parts_come_in_the_order_in_which_they_were_written(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    for part in (1, 2, 10):
        log.cell(f"part {part}")
        log.path.rename(log.path.with_name(f"T-0001.{part}.jsonl"))
    log.cell("newest")

    codes = [json.loads(line)["code"] for line in cli("log", "--json").lines]

    assert codes[::2] == ["part 1", "part 2", "part 10", "newest"]
    assert "task" not in cli("log").lines[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["log"], "there is no log in "),
        (["log", "--home", "nowhere"], "there is no directory nowhere"),
        (["log", "--file", "missing.jsonl"], "there is no file missing.jsonl"),
        (["log", "--file", "."], ". is a directory"),
        (["log", "--file", "sales.csv"], "sales.csv is not a task log: no line of it is a record"),
        (["log", "--file", "image.png"], "image.png is not a task log"),
        (["log", "--task", "tomorrow"], '"tomorrow" is no task id; task ids look like T-0001'),
        (["log", "--plan", "a b"], '"a b" is no plan id'),
        (["log", "--since", "soon"], '"soon" is no point in time'),
        (["log", "--limit", "-1"], '"-1" is no number of rows'),
        (["log", "--limit", "ten"], '"ten" is no number of rows'),
        (["log", "--verify", "--follow"], "it cannot be combined with --follow"),
        (["log", "--home", "a", "--file", "b"], "not allowed with argument"),
        (["stats", "*.jsonl"], "there is no log *.jsonl"),
        (["stats", "sales.csv"], "sales.csv is not a task log"),
        (["check", "--file", "sales.csv"], "sales.csv is not a task log"),
        (["replay", "sales.csv", "--to", "x.ipynb"], "sales.csv is not a task log"),
        (["replay", "T-0007", "--to", "x.ipynb"], "there is no log in "),
        (["prune", "--older", "90d"], "there is no log in "),
    ],
)
def test_missing_foreign_and_wrong_input_is_one_sentence_and_exit_code_2(
    cli: Cli, arguments: list[str], sentence: str
) -> None:
    Path("sales.csv").write_text("date,amount\n2026-01-01,3\n", encoding="utf-8")
    Path("image.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\xff")

    done = cli(*arguments)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("jupyter flow: ")
    assert done.err.count("\n") == 1
    assert sentence in done.err


def test_an_unknown_task_is_named(cli: Cli, home: Path) -> None:
    SampleLog(home).cell()

    done = cli("log", "--task", "T-0009", "--json")

    assert done.code == 2
    assert done.document == {
        "error": {
            "type": "NotFound",
            "message": f"there is no log of T-0009 in {home}",
            "hint": "",
        }
    }
