"""Workflows out of files and objects; files that are none are told with the place."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import NotFound, UsageError, WorkflowInvalid
from flow_kernel.workflow import load, spec
from flow_kernel.workflow.model import Step, Workflow
from tests.records.journals import few

DOCUMENT = {
    "name": "w",
    "variables": {"n": 3},
    "steps": [{"id": "a", "file": "a.py"}, {"id": "b", "code": "2", "timeout": "10m"}],
}
TOML = """
name = "w"
variables = { n = 3 }
[[steps]]
id = "a"
file = "a.py"
[[steps]]
id = "b"
code = "2"
timeout = "10m"
"""


@pytest.fixture
def expected(tmp_path: Path) -> Workflow:
    (tmp_path / "a.py").write_text("1", "utf-8")
    return Workflow(
        name="w",
        variables={"n": 3},
        directory=str(tmp_path),
        steps=(
            Step(id="a", name="a", code="1", file=str(tmp_path / "a.py")),
            Step(id="b", name="b", code="2", needs=("a",), order=2, timeout_s=600.0),
        ),
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.json", json.dumps(DOCUMENT)),
        ("w.JSON", "\ufeff" + json.dumps(DOCUMENT)),
        ("w.toml", TOML),
        ("w.toml", TOML.replace("\n", "\r\n")),
        ("w", json.dumps(DOCUMENT)),
        ("w.flow", TOML),
    ],
)
def test_a_file_of_json_or_toml_is_a_workflow(
    name: str, text: str, expected: Workflow, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())

    assert load.load(path) == expected


def test_an_object_is_a_workflow_a_mapping_or_a_path(expected: Workflow, tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(TOML, "utf-8")

    found = [
        load.from_object(expected, tmp_path),
        load.from_object(DOCUMENT, tmp_path),
        load.from_object("w.toml", tmp_path),
        load.from_object(tmp_path / "w.toml", Path("/elsewhere")),
    ]

    assert found == [expected] * 4


@pytest.mark.parametrize("value", [None, 3, b"w.toml", "", ["w.toml"]])
def test_what_is_no_workflow_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no workflow"):
        load.from_object(value, tmp_path)


def test_names_in_a_relative_file_are_relative_to_it(
    expected: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.toml").write_text(TOML, "utf-8")
    monkeypatch.chdir(tmp_path.parent)

    assert load.load(Path(tmp_path.name) / "w.toml") == expected


@pytest.mark.parametrize(
    ("name", "raw", "problem"),
    [
        ("w.json", b"", "line 1, column 1: Expecting value"),
        ("w.json", b'{"name": "w",\n "steps": [}', "line 2, column 12: Expecting value"),
        ("w.json", b'{"name": "w"} {}', "line 1, column 15: Extra data"),
        ("w.json", b'{"name": NaN}', "NaN is no number that JSON has"),
        ("w.json", b'{"name": -Infinity}', "-Infinity is no number that JSON has"),
        ("w.json", b'{"id": "a", "code": 1, "code": 2}',
         'the key "code" of the step "a" is there twice in one object'),
        ("w.json", b"[" * 100_000, "is nested too deep"),
        ("w.json", b"9" * 5000, "has a number with too many digits"),
        ("w.json", b'{\n"name": "\xe9"}', "line 2, byte 10: is no UTF-8"),
        ("w.json", b"\xef\xbb\xbf\xff", "line 1, byte 4: is no UTF-8"),
        ("w.toml", b'name = "w"\nsteps = [', "Invalid value (at end of document)"),
        ("w.toml", b'name = "w"\nname = "v"', "Cannot overwrite a value (at end of document)"),
        ("w.toml", b"x = 25:00:00",
         "Expected newline or end of document after a statement (at line 1, column 7)"),
        ("w.toml", b"x = 2026-02-31", "Invalid date or datetime (at line 1, column 5)"),
        ("w.toml", b"x = " + b"[" * 100_000, "is nested too deep"),
        ("w.txt", b'  {"name": }', "line 1, column 12: Expecting value"),
        ("w.txt", b"name = w", "Invalid value (at line 1, column 8)"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_told_with_line_and_column(
    name: str, raw: bytes, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(raw)

    with pytest.raises(WorkflowInvalid) as caught:
        load.load(path)

    assert caught.value.problems == (problem,)
    assert caught.value.message == f"{path}: 1 problem in the workflow; nothing was run"


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _large(path: Path) -> None:
    path.touch()
    os.truncate(path, 64_000_001)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_pipe, "is no file"),
        (Path.mkdir, "is no file"),
        (_large, "has 64.0 MB, and may have 64.0 MB"),
    ],
)
def test_what_is_no_file_of_a_sane_size_is_not_read(
    make: Callable[[Path], None], problem: str, tmp_path: Path
) -> None:
    make(tmp_path / "w.json")

    with pytest.raises(WorkflowInvalid) as caught:
        load.load(tmp_path / "w.json")

    assert caught.value.problems == (problem,)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        load.load(tmp_path / "w.json")


def test_dates_of_toml_are_told_to_be_text(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text(
        'name = "w"\nvariables = { day = 2026-02-03 }\nsteps = [{ code = "1" }]', "utf-8"
    )

    with pytest.raises(WorkflowInvalid) as caught:
        load.load(path)

    assert caught.value.problems == ("variables.day: a date is no value of JSON; write it as text",)


@few
@given(st.binary(max_size=60) | st.text(st.characters(codec="utf-8")).map(str.encode))
def test_any_bytes_are_a_workflow_or_refused_as_one(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    for suffix in (".json", ".toml", ".x"):
        path = tmp_path_factory.getbasetemp() / f"any{suffix}"
        path.write_bytes(raw)

        with pytest.raises(WorkflowInvalid):
            load.load(path)


def test_a_stored_workflow_needs_no_file(expected: Workflow, tmp_path: Path) -> None:
    kept = json.dumps(spec.as_document(load.from_object(DOCUMENT, tmp_path)))
    (tmp_path / "a.py").unlink()

    assert spec.from_document(json.loads(kept)) == expected
