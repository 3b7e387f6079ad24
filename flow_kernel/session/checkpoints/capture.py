"""Saves variables in a forked child, so that their classes' code can neither hang nor kill us.

Called by `service`.

    parent: fork ── reads lines ──────────────────────────────▶ what was saved
    child:         {"at": name} … pickle, hash, write … {"done": …}   _exit

The child sees the session as it was at the fork and changes nothing of it. When it dies or is
silent for too long, the variable that it was at is left out and another child is tried; where there
is no fork the session does the work itself.
"""

import os
import select
import signal
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson

from flow_kernel.errors import StoreError
from flow_kernel.session.checkpoints.anchors import Anchors
from flow_kernel.session.checkpoints.saving import NotSaved, save
from flow_kernel.store.snapshots.content import store_content
from flow_kernel.store.snapshots.writer import Writer

SILENCE_S: Final = 20.0
"""How long one variable may take before its checkpoint goes on without it."""
_MOST_CULPRITS: Final = 20
_READ_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What a manifest says of the variables, as JSON."""

    groups: list[dict[str, Any]]
    not_saved: list[NotSaved]
    bytes_new: int


def capture(
    values: Mapping[str, object],
    anchors: Anchors,
    writer: Callable[[], Writer],
    *,
    forks: bool,
    silence_s: float = SILENCE_S,
) -> Captured:
    """Save variables as they are now; on the disk when this returns.

    Args:
        values: By name.
        anchors: What is referred to and not saved.
        writer: Makes a writer of chunks.
        forks: False to do it in this process.
        silence_s: How long one variable may take.

    Raises:
        StoreError: The disk refuses.
    """
    if not forks or not hasattr(os, "fork"):
        return _save(values, anchors, writer(), lambda _: None)
    left = dict(values)
    culprits: list[NotSaved] = []
    while True:
        document, at, end = _in_child(left, anchors, writer, silence_s)
        if document is not None:
            found = _captured(document)
            return Captured(
                groups=found.groups,
                not_saved=sorted([*found.not_saved, *culprits], key=lambda one: one.name),
                bytes_new=found.bytes_new,
            )
        if at not in left or len(culprits) >= _MOST_CULPRITS:
            raise StoreError(f"the variables could not be saved: the writer {end}")
        kind = type(left.pop(at))
        culprits.append(
            NotSaved(
                name=at,
                type=f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
                reason=f"saving it {end}",
            )
        )


def _save(
    values: Mapping[str, object],
    anchors: Anchors,
    writer: Writer,
    on_name: Callable[[str], object],
) -> Captured:
    try:
        saved = save(values, anchors, on_name=on_name)
        groups = []
        for group in saved.groups:
            on_name(group.names[0])
            groups.append(
                {
                    "names": list(group.names),
                    "stream": store_content(writer, group.stream),
                    "buffers": [store_content(writer, buffer) for buffer in group.buffers],
                }
            )
        writer.sync()
    finally:
        writer.close()
    return Captured(groups=groups, not_saved=saved.not_saved, bytes_new=writer.bytes_new)


def _in_child(
    values: Mapping[str, object],
    anchors: Anchors,
    writer: Callable[[], Writer],
    silence_s: float,
) -> tuple[dict[str, Any] | None, str, str]:
    """What the child says at its end; else the variable that it was at, and how it ended."""
    reader, mouth = os.pipe()
    pid = _fork()
    if pid == 0:
        _child(values, anchors, writer, mouth)
    os.close(mouth)
    try:
        lines, is_silent = _listen(reader, silence_s)
    finally:
        os.close(reader)
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    said = [orjson.loads(line) for line in lines]
    last = said[-1] if said else {}
    if "done" in last:
        return last["done"], "", ""
    if "refused" in last:
        raise StoreError(last["refused"])
    if is_silent:
        return None, last.get("at", ""), f"took longer than {silence_s:g} s"
    if os.WIFSIGNALED(status):
        return None, last.get("at", ""), f"died of {signal.Signals(os.WTERMSIG(status)).name}"
    return None, last.get("at", ""), f"ended its process ({os.waitstatus_to_exitcode(status)})"


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns that threads may hold locks; a child that hangs for one is killed.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _child(
    values: Mapping[str, object], anchors: Anchors, writer: Callable[[], Writer], mouth: int
) -> None:
    """The life of the child; never returns."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        silence = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):  # what classes print while they are saved is nobody's output
            os.dup2(silence, fd)

        def say(document: dict[str, Any]) -> None:
            data = memoryview(orjson.dumps(document) + b"\n")
            while data:
                data = data[os.write(mouth, data) :]

        try:
            found = _save(values, anchors, writer(), lambda name: say({"at": name}))
        except StoreError as error:
            say({"refused": error.message})
        else:
            say({"done": _document(found)})
        code = 0
    finally:
        os._exit(code)


def _listen(reader: int, silence_s: float) -> tuple[list[bytes], bool]:
    """All whole lines until the child closes its end; True when it was silent for too long."""
    data = bytearray()
    deadline = time.monotonic() + silence_s
    while (left_s := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([reader], [], [], left_s)
        if not ready:
            break
        got = os.read(reader, _READ_BYTES)
        if not got:
            return _whole_lines(data), False
        data += got
        deadline = time.monotonic() + silence_s
    return _whole_lines(data), True


def _whole_lines(data: bytearray) -> list[bytes]:
    return bytes(data).split(b"\n")[:-1]


def _document(captured: Captured) -> dict[str, Any]:
    return {
        "groups": captured.groups,
        "not_saved": [[left.name, left.type, left.reason] for left in captured.not_saved],
        "bytes_new": captured.bytes_new,
    }


def _captured(document: dict[str, Any]) -> Captured:
    return Captured(
        groups=document["groups"],
        not_saved=[
            NotSaved(name=name, type=kind, reason=reason)
            for name, kind, reason in document["not_saved"]
        ],
        bytes_new=document["bytes_new"],
    )
