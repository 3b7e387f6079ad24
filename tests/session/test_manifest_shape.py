"""Manifests of strangers with any field replaced: told as damaged in a sentence, or read."""

import copy
import hmac
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from flow_kernel.apps.cli import main
from flow_kernel.errors import CheckpointDamaged
from flow_kernel.session.checkpoints.checkpoint import differing
from flow_kernel.session.checkpoints.files_text import files_line, left_files
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.session.checkpoints.tree import tree
from flow_kernel.session.checkpoints.tree_page import tree_page
from flow_kernel.shell.views.checkpoint_display import CheckpointPage
from flow_kernel.store.git.rules import NO_CHANGES
from flow_kernel.store.snapshots.frame import digest_of
from tests.session.shelves import KEY, shelf_at

ID: Final = "0123456789ab"
OTHERS: Final = (None, "text", 7, -1, 1.5, True, ["text"], [[]], [{}], [], {"a": 1}, {})
GONE: Final = object()
_PART: Final = {"nbytes": 3, "chunks": ["ab" * 32]}
_LEFT: Final = [{"path": "big.bin", "reason": "too large", "size": 9}]
HEAD: Final[dict[str, Any]] = {
    "format": 2,
    "checkpoint_id": ID,
    "name": "clean",
    "parent_id": None,
    "created_at": "2025-01-01T00:00:00.000Z",
    "reason": "asked",
    "session": "5" * 32,
    "seq": 1,
    "plan_id": "local",
    "task_id": "T-0000",
    "step": None,
    "python": "3.11.7",
    "libraries": {"numpy": "2.3.5"},
    "not_saved": [{"name": "g", "type": "generator", "reason": "begun", "seq": 2, "ident": 7}],
    "bytes_new": 10,
    "git": {"commit": "c" * 40, "tree": "d" * 40, "ref": "r", "tag": None, "left_out": _LEFT},
    "files": {
        "root": ".",
        "tree": "ef",
        "table": ["cd" * 32],
        "count": 1,
        "nbytes": 2,
        "left_out": _LEFT,
        "left_out_count": 3,
    },
    "files_reason": "",
    "counts": {"variables": 1},
}
BODY: Final[dict[str, Any]] = {
    "variables": {"x": {"type": "int", "summary": "1"}},
    "groups": [
        {"names": ["x"], "stream": _PART, "buffers": [{"nbytes": 1, "list": "ab" * 32}]}
        | {"filled_in": [0]}
    ],
    "anchors": ["namespace"],
    "statuses": {"x": "tame"},
    "loose": ["x"],
}
FOREIGN: Final = b"f" * 32


def sealed(head: object, body: object, key: bytes) -> bytes:
    """As `manifests.seal` does it, of anything."""
    second = orjson.dumps(body)
    if isinstance(head, dict):
        head = {**head, "body_hash": digest_of(second).hex()}
    first = orjson.dumps(head) + b"\n"
    mac = hmac.digest(key, first, "sha256").hex().encode()
    told = first + second + b'\n{"mac":"' + mac + b'"'
    return told + b',"crc":"%08x"}\n' % zlib.crc32(told)


def places(value: object, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something could be replaced: all that is in it, and itself."""
    yield place
    pairs = value.items() if isinstance(value, dict) else ()
    for key, each in enumerate(value) if isinstance(value, list) else pairs:
        yield from places(each, (*place, key))


def changed(value: object, place: tuple[Any, ...], other: object) -> Any:
    if not place:
        return other
    value = copy.deepcopy(value)
    inside: Any = value
    for key in place[:-1]:
        inside = inside[key]
    if other is GONE:
        del inside[place[-1]]
    else:
        inside[place[-1]] = other
    return value


def variants(field: str) -> Iterator[tuple[object, object]]:
    """Head and body, with one thing below a field replaced or left out."""
    for other in (*OTHERS, GONE):
        for place in places(HEAD.get(field), (field,)) if field in HEAD else ():
            yield changed(HEAD, place, other), BODY
        for place in places(BODY.get(field), (field,)) if field in BODY else ():
            yield HEAD, changed(BODY, place, other)


def looked_at(shelf: Shelf) -> str:
    """All that shows a checkpoint."""
    one = shelf.find(ID)
    page = repr(CheckpointPage(one, []))
    shown = [page, files_line(one), *left_files(one), str(one.item()), str(one.statuses)]
    known = shelf.all()
    shown += [tree_page(tree(known, here=ID), title="t"), str(one.anchors), str(one.loose)]
    shown += [str(differing(one, one, NO_CHANGES)), str([*one.body.parts()])]
    shown += [str(shelf.verify(one)), str([*shelf.verify_files(one)])]
    return "\n".join(shown)


def told_of(shelf: Shelf) -> str:
    """Why it cannot be shown; empty where it can."""
    try:
        looked_at(shelf)
    except CheckpointDamaged as error:
        return error.message
    return ""


def test_the_manifest_that_is_changed_here_is_right_as_it_is(tmp_path: Path) -> None:
    for key in (KEY, FOREIGN):
        shelf = written(tmp_path, HEAD, BODY, key)
        assert "clean" in looked_at(shelf)
        assert shelf.damaged == {}


def written(root: Path, head: object, body: object, key: bytes) -> Shelf:
    shelf = shelf_at(root)
    shelf.manifests_dir.mkdir(parents=True, exist_ok=True)
    (shelf.manifests_dir / f"{ID}.json").write_bytes(sealed(head, body, key))
    return shelf


@pytest.mark.parametrize("key", [KEY, FOREIGN], ids=["signed", "foreign"])
@pytest.mark.parametrize("field", [*HEAD, *BODY])
def test_any_field_may_be_anything_and_nothing_but_damage_is_told(
    tmp_path: Path, field: str, key: bytes
) -> None:
    told = {told_of(written(tmp_path, head, body, key)) for head, body in variants(field)}
    reasons = told - {""}
    assert reasons
    assert [one for one in reasons if not one.startswith(f"checkpoint {ID}: its manifest ")] == []


@pytest.mark.parametrize("other", OTHERS[:-1])
def test_a_head_or_a_body_that_is_anything_else_is_damage(tmp_path: Path, other: object) -> None:
    for head, body in ((other, BODY), (HEAD, other)):
        with pytest.raises(CheckpointDamaged):
            looked_at(written(tmp_path, head, body, FOREIGN))


@pytest.mark.parametrize("field", ["git", "files", "not_saved", "libraries", "variables", "groups"])
@pytest.mark.parametrize("key", [KEY, FOREIGN], ids=["signed", "foreign"])
def test_the_command_line_shows_no_traceback_of_any_of_them(
    tmp_path: Path,
    field: str,
    key: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data" / "flow").mkdir(parents=True)
    (tmp_path / "data" / "flow" / "key").write_bytes(KEY)
    (tmp_path / "data" / "flow" / "key").chmod(0o600)
    for other in OTHERS:
        head = {**HEAD, field: other} if field in HEAD else HEAD
        body = {**BODY, field: other} if field in BODY else BODY
        written(tmp_path / ".flow", head, body, key)
        for action in ("show", "verify", "list", "tree"):
            names = [ID] if action in ("show", "verify") else []
            code = main(["checkpoints", action, *names, "--home", str(tmp_path)])
            said = capsys.readouterr()
            assert code in (0, 1), (action, other, said)
            assert "Traceback" not in said.err
