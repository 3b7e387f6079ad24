"""A cell that a worker ran is recorded with what happened there, and with what happened here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_kernel.records.cell_changes import Changes, no_changes
from flow_kernel.records.home import Home
from flow_kernel.records.summaries import summarise
from flow_kernel.session.assembly import assemble
from flow_kernel.session.cell import CellRequest, OpenCell
from flow_kernel.session.session import Session
from flow_kernel.settings import Settings

WORKER = "w-1"
NUMBER: dict[str, object] = {"type": "int", "summary": "1"}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = assemble(Home(tmp_path / ".flow"), env={}, settings=Settings())
    yield opened
    opened.close()


def begun(session: Session, namespace: dict[str, object]) -> OpenCell:
    cell = session.recorder.begin(CellRequest("pass", namespace, {}, "m1", None, 1))
    assert cell is not None
    return cell


def sealed(session: Session, cell: OpenCell) -> tuple[dict[str, object], dict[str, object]]:
    """The facts of the reply, and the record."""
    session.recorder.end(cell, None, seals=False)
    facts = session.recorder.seal("m1", None)
    (record,) = session.history.records("cell")
    assert facts is not None
    return facts, record


def test_the_record_has_the_changes_of_the_worker_and_ours(session: Session) -> None:
    namespace: dict[str, object] = {"mine": 1, "gone": 2}
    cell = begun(session, namespace)
    theirs = Changes(
        added=["there", "back"],
        changed=["z"],
        removed=["old"],
        mutated=["L"],
        imports=["far", "far.away"],
        loads=["q"],
        stores=["there"],
        summaries={"there": NUMBER},
        summaries_left_out=2,
    )

    cell.adopt(theirs, versions={"far": "1.2", "not_imported": "3"}, worker=WORKER)
    namespace["back"] = 5
    namespace["mine"] = 6
    del namespace["gone"]
    facts, record = sealed(session, cell)

    assert {k: v for k, v in facts.items() if k not in ("elapsed_ms", "seq")} == {
        "added_vars": ["back", "there"],
        "changed_vars": ["mine", "z"],
        "removed_vars": ["gone", "old"],
        "mutated_vars": ["L"],
        "added_imports": ["far", "far.away"],
        "execution": "worker",
        "worker": WORKER,
    }
    assert (record["worker"], record["imports"]) == (WORKER, {"far": "1.2"})
    assert (record["loads"], record["stores"]) == (["q"], ["there"])
    assert record["vars"] == {
        "there": NUMBER,
        "back": {"type": "int", "summary": "5"},
        "mine": {"type": "int", "summary": "6"},
    }
    assert record["truncated"] == {"vars": 2}
    assert cell.own_changes is not None
    assert (cell.own_changes.added, cell.own_changes.removed) == (["back"], ["gone"])


def test_a_cell_that_ran_here_says_so(session: Session) -> None:
    facts, record = sealed(session, begun(session, {}))

    assert (facts["execution"], "worker" in facts, record["worker"]) == ("local", False, None)


def test_the_changes_of_a_worker_are_kept_when_ours_cannot_be_found(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is made: no namespace is known whose comparison fails."""
    cell = begun(session, {})
    cell.adopt(no_changes()._replace(added=["there"]), versions={}, worker=WORKER)
    watches = session.recorder._watches

    def fails(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(type(watches), "names", fails)
        facts, record = sealed(session, cell)

    assert (facts["added_vars"], record["recorder_error"]) == (["there"], "RuntimeError")


def test_half_a_secret_in_a_text_that_a_worker_cut_is_not_kept(tmp_path: Path) -> None:
    secret = "plain" + "-horse-battery" * 4
    session = assemble(Home(tmp_path / ".flow"), env={"SERVICE_TOKEN": secret}, settings=Settings())
    values = ("x " * 28 + secret, [secret, 1], {"where": secret}, [1, 2, 3, 4, 5])
    summaries = {f"v{i}": summarise(value) for i, value in enumerate(values)}
    cell = begun(session, {"v0": "another value of the same name"})

    cell.adopt(no_changes()._replace(summaries=summaries), versions={}, worker=WORKER)
    _, record = sealed(session, cell)
    session.close()

    kept = record["vars"]
    assert isinstance(kept, dict)
    assert "plain" not in str(kept)
    assert kept["v0"]["summary"] == summaries["v0"]["summary"] == f"'{'x ' * 28}…' 117 characters"
    assert kept["v3"] == summarise([1, 2, 3, 4, 5])
