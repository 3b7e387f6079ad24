"""The published schemas describe what is really written: events, records, and their pages."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator, FormatChecker

from flow_kernel import events
from flow_kernel.records.agent_events import NAMES, PREFIX
from tests.kernels import Kernel
from tests.logs import Record
from tests.pages import PAGES, page, schemas
from tests.source import ROOT

KINDS: Final = {
    *("cell_started", "cell", "late", "hidden", "plan", "task", "step", "context", "tag"),
    *("approval", "checkpoint", "rollback", "worker", "run", "death"),
}
CELLS: Final = (
    "%task start Clean --steps load,check",
    "%task step load",
    "%task log two lines\n%task set rows=3",
    "import flow_kernel\nflow_kernel.open_flow().tag('T-0001', 'may')",
    "%approve --park --remind 5m Delete it?",
    "with flow_kernel.current_session().step('check') as s: s.progress(1, 2)",
    "1 / 0",
    "%task finish",
    "%task start Again\n%task fail no rows",
    "x = [1]",
    "%checkpoint first",
    "x = [2]\n%rollback first",
)


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[list[Record], list[dict[str, Any]]]]:
    """Records and event lines of a real session that died, and of the next one."""
    lines: list[dict[str, Any]] = []
    with Kernel(env={"FLOW_EVENTS": "1"}) as kernel:
        for cell in CELLS:
            kernel.run(cell)
        kernel.run("1", silent=True, store_history=False)
        kernel.run("import subprocess; p = subprocess.Popen('sleep 0.1; echo late', shell=True)")
        kernel.logs.wait("late")
        lines += _lines(kernel)
        kernel.fatal("import os; os.kill(os.getpid(), 9)")
        kernel.restart().run("3")
        lines += _lines(kernel)
        yield kernel.logs.records(), lines


def _lines(kernel: Kernel) -> list[dict[str, Any]]:
    found = [line for line in kernel.stream().splitlines() if line.startswith(PREFIX)]
    return [{"": line[len(PREFIX) :].split(" ")[0], **_body(line)} for line in found]


def _body(line: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(line.partition(" ")[2])
    return body


def test_there_is_a_schema_for_each_event_and_each_kind_of_record_and_no_other() -> None:
    assert set(schemas("events")) == NAMES
    assert set(schemas("records")) == KINDS


@pytest.mark.parametrize("folder", PAGES)
def test_each_schema_has_the_form_that_jupyter_events_takes(folder: str) -> None:
    for name, schema in schemas(folder).items():
        Draft7Validator.check_schema(schema)
        assert schema["$id"] == f"urn:flow-kernel:{folder}:{name}"
        assert {"version", "title", "personal-data", "type", "properties", "required"} <= set(
            schema
        )
        assert set(schema["required"]) <= set(schema["properties"])


def test_real_records_are_as_their_schemas_say(
    told: tuple[list[Record], list[dict[str, Any]]],
) -> None:
    known = schemas("records")
    faults = [fault for record in told[0] for fault in _faults(known[record["kind"]], record)]

    assert faults == []
    kinds = {record["kind"] for record in told[0]}
    assert KINDS - kinds == {"worker", "run"}


def test_real_events_are_as_their_schemas_say(
    told: tuple[list[Record], list[dict[str, Any]]],
) -> None:
    known = schemas("events")
    said = [(line.pop(""), line) for line in map(dict, told[1])]

    assert [fault for name, line in said for fault in _faults(known[name], line)] == []
    assert {name for name, _ in said} == {
        *("task_start", "task_finish", "task_error", "step_start", "step_end"),
        *("progress", "need_approval", "death", "checkpoint", "rollback"),
    }


@pytest.mark.parametrize("folder", PAGES)
def test_the_page_of_the_schemas_is_up_to_date(folder: str) -> None:
    written = (ROOT / "docs" / f"{folder}.md").read_text("utf-8")

    assert written == page(folder), "run: python -m tests.pages"


def test_a_program_finds_the_schema_of_an_event_by_its_name() -> None:
    assert events.schema("death") == schemas("events")["death"]
    with pytest.raises(LookupError, match="approved"):
        events.schema("approved")


def _faults(schema: dict[str, Any], said: dict[str, Any]) -> list[str]:
    found = Draft7Validator(schema, format_checker=FormatChecker()).iter_errors(said)
    return [
        *(f"{schema['$id']}: {fault.json_path} {fault.message}" for fault in found),
        *(f"{schema['$id']}: {name} is unknown" for name in said.keys() - schema["properties"]),
    ]
