"""`jupyter flow approvals | approve | reject`: what it prints, exits with and writes."""

import getpass
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flow_kernel.errors import ApprovalPending
from flow_kernel.records.home import Home
from flow_kernel.session.assembly import assemble
from flow_kernel.session.cell import CellRequest
from flow_kernel.session.session import Session
from flow_kernel.settings import Settings
from tests.apps.running import Cli
from tests.logs import TaskLogs

PINNED = {
    "approval_id", "plan_id", "task_id", "step", "message", "code_sha256", "payload_sha256",
    "level", "status", "decided_by", "decided_at", "channel", "comment", "expires_at",
}  # fmt: skip


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session in the working directory that has parked one question."""
    opened = assemble(Home(tmp_path / "work" / ".flow"), env={}, settings=Settings())
    ask(opened, "Delete 3 files?")
    yield opened
    opened.close()


def ask(session: Session, message: str, **terms: object) -> None:
    cell = session.recorder.begin(CellRequest("cell", {}, {}, None, None, 1))
    assert cell is not None
    with pytest.raises(ApprovalPending):
        session.request_approval(message, park=True, **terms)  # type: ignore[arg-type]  # as the method
    session.recorder.end(cell, None, seals=True)


def test_approvals_lists_the_questions_with_their_answers(session: Session, cli: Cli) -> None:
    ask(session, "Push\x1b[31m\nnow\u202e?", timeout_s=3600)
    cli("approve", "A-0001", "--as", "ann", "--comment", "fine")

    done = cli("approvals")

    assert (done.code, done.err) == (0, "")
    assert [line.split()[:2] for line in done.lines[1:]] == [
        ["id", "question"], ["A-0001", "✓"], ["A-0002", "?"],
    ]  # fmt: skip
    assert "approved by ann (cli)" in done.lines[2]
    assert "Push now?" in done.lines[3]
    assert "\x1b" not in done.out
    assert [line.split()[0] for line in cli("approvals", "--status", "open").lines[2:]] == [
        "A-0002"
    ]


def test_approvals_gives_each_pinned_field_to_programs(session: Session, cli: Cli) -> None:
    (item,) = cli("approvals", "--json").document["items"]

    assert set(item) >= PINNED
    assert {name: item[name] for name in ("approval_id", "task_id", "level", "status")} == {
        "approval_id": "A-0001",
        "task_id": "T-0000",
        "level": "advisory",
        "status": "open",
    }
    assert (item["decided_by"], item["comment"], item["expires_at"]) == (None, "", None)


@pytest.mark.parametrize(("verb", "status"), [("approve", "approved"), ("reject", "rejected")])
def test_an_answer_is_recorded_with_who_how_and_why(
    session: Session, cli: Cli, verb: str, status: str
) -> None:
    done = cli(verb, "a-0001", "--comment", " as agreed ", "--json")

    item = done.document
    assert (done.code, item["status"], item["decided_by"], item["channel"], item["comment"]) == (
        0, status, getpass.getuser(), "cli", "as agreed",
    )  # fmt: skip
    logged = TaskLogs(session.home.root).records("approval", approval_id="A-0001")[-1]
    assert (logged["status"], logged["decided_by"], logged["requested_in"]) == (
        status, getpass.getuser(), session.identity.session,
    )  # fmt: skip


def test_the_level_is_said_with_the_answer(session: Session, cli: Cli) -> None:
    assert cli("approve", "A-0001", "--as", "ann").lines[2] == (
        "  advisory: code in the same process can get around it"
    )


def test_a_second_answer_is_told_in_one_sentence_who_was_first(session: Session, cli: Cli) -> None:
    cli("reject", "A-0001", "--as", "ann")

    done = cli("approve", "A-0001", "--as", "bob")

    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("jupyter flow: A-0001 was already rejected by ann at 20")
    assert done.err.endswith(" (cli); nothing was changed\n")
    error = cli("approve", "A-0001", "--json").document["error"]
    assert error["type"] == "AlreadyDecided"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("A-0099",), "there is no approval A-0099; nothing was changed"),
        (("7",), '"7" is no approval id; approval ids look like A-0001'),
        (("A-1\x1b[2J",), "is no approval id"),
        (("A-0001", "--as", " "), "a decision needs the name of who makes it"),
        ((), "required: ID"),
    ],
)
def test_a_wrong_id_or_name_changes_nothing(
    session: Session, cli: Cli, arguments: tuple[str, ...], says: str
) -> None:
    done = cli("approve", *arguments)

    assert (done.code, says in done.err, done.err.count("\n")) == (2, True, 1)
    assert "\x1b" not in done.err
    assert [item["status"] for item in cli("approvals", "--json").document["items"]] == ["open"]


def test_a_comment_of_any_bytes_is_kept(session: Session, cli: Cli) -> None:
    done = cli("approve", "A-0001", "--comment", "\udcff<b>\u202e", "--json")

    assert (done.code, done.document["comment"]) == (0, "\\udcff<b>\u202e")


def test_a_home_without_questions_says_so(session: Session, cli: Cli) -> None:
    assert cli("approvals", "--status", "rejected").out == "no approvals\n"


def test_one_question_is_shown_with_what_its_answer_is_bound_to(session: Session, cli: Cli) -> None:
    ask(session, "Pay?", payload={"amount": 3}, timeout_s=60)

    shown = cli("approvals", "a-0002")

    assert (shown.code, shown.err) == (0, "")
    assert "  │ cell" in shown.lines
    assert '  │   "amount": 3' in shown.lines
    assert cli("approvals", "A-0002", "--json").document["code"] == "cell"
    assert cli("approvals", "A-0099").code == 2


def test_due_reminders_are_given_once_and_run_a_program(
    session: Session, cli: Cli, tmp_path: Path
) -> None:
    ask(session, "Go?", remind_s=3600)
    session.approvals.reminders.close()
    row = session.approvals.desk.get("A-0002")
    with session.approvals.desk._store.write() as change:
        change.put_approval(replace(row, next_remind_at=row.requested_at), at=row.requested_at)

    given = cli("approvals", "--remind", "--command", f"touch {tmp_path / 'told'}", "--json")
    again = cli("approvals", "--remind")

    assert [item["approval_id"] for item in given.document["items"]] == ["A-0002"]
    assert (tmp_path / "told").exists()
    assert again.lines == ["no approvals"]


@pytest.mark.parametrize(
    "arguments", [("--command", "x"), ("--remind", "A-0001"), ("A-0001", "--status", "open"),
                  ("--remind", "--command", "'")],
)  # fmt: skip
def test_options_that_do_not_go_together_are_one_sentence(
    session: Session, cli: Cli, arguments: tuple[str, ...]
) -> None:
    refused = cli("approvals", *arguments)

    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)


def test_a_comment_on_the_command_line_loses_its_secrets(session: Session, cli: Cli) -> None:
    secret = "ghp_" + "a1B2" * 9

    said = cli("approve", "A-0001", "--comment", f"with {secret}", "--json").document["comment"]

    assert (secret in said, said.startswith("with [REDACTED:")) == (False, True)
