"""Displays are kept by checksum, within bounds, and go when no log names them."""

import base64
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.kept_outputs import OutputKeeper
from flow_kernel.records.output import CellOutput
from flow_kernel.records.output_objects import FoundOutput, read_output
from flow_kernel.records.prune import prune
from tests.mounting import NAMESPACE, require_mounts
from tests.records.journals import SESSION, run_python

PNG = b"\x89PNG\r\n\x1a\nrest"
LIMIT = datetime(2026, 1, 1, tzinfo=UTC)
OLD = "2025-01-01T00:00:00.000Z"


def _keeper(home: Home, said: list[str], budget_bytes: int = 1000) -> OutputKeeper:
    return OutputKeeper(
        home, budget_bytes=budget_bytes, redact=lambda text: (text, 0), on_trouble=said.append
    )


def _output(**data: object) -> CellOutput:
    output = CellOutput(100)
    output.keeps = True
    output.display({name.replace("_", "/"): payload for name, payload in data.items()})
    return output


def _kept(keeper: OutputKeeper, text: str) -> str:
    output = _output(text_html=text)
    keeper.keep(output.held)
    return str(output.outputs[0].get("object"))


def _age(home: Home, name: str) -> Path:
    path = home.outputs_dir / name[:2] / name
    os.utime(path, (0, 0))
    return path


def test_an_image_is_kept_decoded_and_found_by_its_checksum(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    output = _output(image_png=base64.b64encode(PNG).decode(), image_jpeg="bm9uZQ==")
    _keeper(home, []).keep(output.held)

    name = hashlib.sha256(PNG).hexdigest()
    assert [entry.get("object") for entry in output.outputs] == [name, None]
    assert read_output(home, name) == FoundOutput(PNG, "")


def test_the_same_display_is_written_once_and_a_full_budget_is_said_once(tmp_path: Path) -> None:
    home, said = Home(tmp_path / ".flow"), list[str]()
    keeper = _keeper(home, said, budget_bytes=10)
    names = [_kept(keeper, text) for text in ("12345678", "12345678", "abc", "def", "gh")]

    assert names[0] == names[1]
    assert names[2:4] == ["None", "None"]
    assert names[4] != "None"
    assert said == ["outputs of this session use up their budget; further ones are counted"]
    assert (keeper.dropped, keeper.room_bytes) == (2, 0)


def test_what_a_cell_holds_until_its_record_is_bounded() -> None:
    output = CellOutput(100)
    output.keeps = True
    for _ in range(20):
        output.display({"text/html": "x" * 8_000_000})

    assert len(output.outputs) == 20
    assert len(output.held) == 8


def test_a_full_disk_costs_the_display_alone_and_leaves_no_half_file(tmp_path: Path) -> None:
    require_mounts(tmp_path)
    program = """
import subprocess, sys
from pathlib import Path
from tests.records.test_kept_outputs import Home, _keeper, _kept
root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", root], check=True)
home, said = Home(root / ".flow"), []
keeper = _keeper(home, said, 10**9)
first = _kept(keeper, "a" * 1000)
results = [_kept(keeper, f"{i}" + "b" * 300_000) for i in range(3)]
assert results == ["None"] * 3, results
assert len(said) == 1 and "No space left on device" in said[0], said
assert [path.name for path in home.outputs_dir.glob("*/*")] == [first]
assert _kept(keeper, "c") != "None"
"""
    run_python(program, tmp_path, under=NAMESPACE)


@pytest.mark.parametrize("name", ["", "../../../etc/passwd", "0" * 64, "g" * 64, "0" * 64 + "\n"])
def test_a_name_that_is_none_is_never_a_path(tmp_path: Path, name: str) -> None:
    assert read_output(Home(tmp_path), name).data is None


def test_a_link_or_a_pipe_in_place_of_an_output_is_not_read(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    name = _kept(_keeper(home, []), "mine")
    path = home.outputs_dir / name[:2] / name
    (tmp_path / "other").write_text("mine")
    path.unlink()
    path.symlink_to(tmp_path / "other")
    by_link = read_output(home, name)
    path.unlink()
    os.mkfifo(path)

    assert by_link.data is None
    assert read_output(home, name) == FoundOutput(None, "its file is damaged")


def test_pruning_takes_old_outputs_that_no_log_names_and_no_other(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    keeper = _keeper(home, [])
    names = {text: _kept(keeper, text) for text in ("gone", "named", "young", "torn")}
    for when, task, text in ((OLD, "T-1", "gone"), ("2026-11-21T00:00:00.000Z", "T-2", "named")):
        journal = Journal(home, SESSION, now=lambda when=when: when)  # type: ignore[misc]  # its default
        journal.append("cell", "local", task, {"outputs": [{"object": names[text]}]})
        journal.close()
    (home.log_dir / "local" / "T-2.jsonl.torn").write_text(f'x,"object":"{names["torn"]}"')
    paths = [_age(home, names[text]) for text in ("gone", "named", "torn")]

    would = prune(home, LIMIT, dry_run=True)
    assert paths[0].exists()
    done = prune(home, LIMIT, dry_run=False)

    assert would == done
    assert done.outputs == {paths[0]: 4}
    assert [path.exists() for path in paths] == [False, True, True]
    assert read_output(home, names["young"]).data == b"young"
