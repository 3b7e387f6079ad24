"""Saves variables in a watched child, so that their classes' code can neither hang nor kill us.

Called by `service`, in a keeper; where there is none, in the session itself.

    watcher: fork ── reads lines ──────────────────────────────▶ what was saved
    writer:          {"at": name} … pickle, hash, write … {"done": …}   _exit

The writer sees the session as it was at the fork and changes nothing of it. When it dies or is
silent for too long, the variable that it was at is left out and another one is tried.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import orjson

from flow_kernel.errors import StoreError
from flow_kernel.records.process import signal_name
from flow_kernel.records.summaries import summarise
from flow_kernel.session.checkpoints.anchors import Anchors
from flow_kernel.session.checkpoints.early import EarlyWriter, Place, place_of
from flow_kernel.session.checkpoints.hidden_state import is_hidden
from flow_kernel.session.checkpoints.keeper import Wanted, fork
from flow_kernel.session.checkpoints.plan import CULPRIT
from flow_kernel.session.checkpoints.reach_facts import SaveFacts, facts_of, landmarks
from flow_kernel.session.checkpoints.reach_types import Types
from flow_kernel.session.checkpoints.saving import NotSaved, Saved, save
from flow_kernel.store.snapshots.content import pieces_of, store_content
from flow_kernel.store.snapshots.fast import HAS_FAST, Content
from flow_kernel.store.snapshots.writer import Writer

SILENCE_S: Final = 20.0
"""How long one variable may take before its checkpoint goes on without it."""
_DISK: Final = ""
"""In place of a name while nothing but the disk can be slow."""
_DISK_S: Final = 600.0
_CHUNKS_A_SIGN: Final = 64
_MOST_CULPRITS: Final = 20
_READ_BYTES: Final = 1 << 16

Document = dict[str, Any]
"""What was saved, as JSON: groups, summaries, not_saved (name, type, reason), statuses, loose,
bytes_new; doubt where the libraries were looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is found out on the way about what later cells can reach.

    Attributes:
        types: Of the libraries that are loaded.
        namespace: Of the user.
        is_wide: True to look at the libraries as well.
        is_first: True where nothing of it has been written before.
    """

    types: Types
    namespace: dict[str, Any]
    is_wide: bool
    is_first: bool = False

    def facts(self, values: Mapping[str, object], saved: Saved) -> SaveFacts:
        """What there is to say of values; for the arguments see `facts_of`."""
        return facts_of(
            values,
            saved,
            self.types,
            namespace=self.namespace,
            looks_for_code=self.is_wide,
        )


def capture_here(
    values: Mapping[str, object], anchors: Anchors, writer: Writer, look: Look
) -> Document:
    """Save variables in this process; on the disk when this returns.

    Raises:
        StoreError: The disk refuses.
    """
    return _save(values, anchors, writer, look, lambda _: None, EarlyWriter())


def capture(
    values: Mapping[str, object],
    anchors: Anchors,
    writer: Callable[[], Writer],
    look: Look,
    *,
    wanted: Wanted,
    silence_s: float = SILENCE_S,
) -> Document:
    """Save variables in a child of this process; on the disk when this returns.

    Args:
        values: By name.
        anchors: What is referred to and not saved.
        writer: Makes a writer of chunks.
        look: What to find out on the way.
        wanted: Says whether anybody waits for it still.
        silence_s: How long one variable may take.

    Raises:
        StoreError: The disk refuses, or nobody wants it any more.
    """
    left = dict(values)
    culprits: list[list[str]] = []
    while True:

        def work(say: Callable[[str], object]) -> Document:
            early = EarlyWriter()
            if look.is_first:
                early = EarlyWriter.begin(left, anchors, writer, look.types, look.namespace)
            return _save(left, anchors, writer(), look, say, early)

        document, at, end = _in_child(work, wanted, silence_s)
        if document is not None:
            document["not_saved"] = sorted([*document["not_saved"], *culprits])
            return document
        if at not in left or len(culprits) >= _MOST_CULPRITS:
            raise StoreError(f"the variables could not be saved: the writer {end}")
        kind = type(left.pop(at))
        said = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        culprits.append([at, said, f"{CULPRIT}{end}"])


def _save(
    values: Mapping[str, object],
    anchors: Anchors,
    writer: Writer,
    look: Look,
    on_name: Callable[[str], object],
    early: EarlyWriter,
) -> Document:
    marks = landmarks(look.namespace, anchors.by_name.values())
    saved = save(values, anchors, on_name=on_name, landmarks=marks)
    facts = look.facts(values, saved)
    on_name(_DISK)
    written = early.finish()
    writer.refresh()
    groups = stored_groups(saved, writer, on_name, written.digests)
    names = [name for group in saved.groups for name in group.names]
    document: Document = {
        "groups": groups,
        "summaries": {name: dict(summarise(values[name])) for name in names if not is_hidden(name)},
        "not_saved": [_listed(left) for left in saved.not_saved],
        "statuses": {name: status.value for name, status in facts.statuses.items()},
        "loose": sorted(facts.loose),
        "bytes_new": writer.bytes_new + written.bytes_new,
    }
    if look.is_wide or facts.doubt is not None:
        document["doubt"] = facts.doubt
    return document


class _Telling:
    """A writer that gives a sign of life now and then: gigabytes take their time.

    Args:
        writer: Does the work.
        tell: Gives the sign.
    """

    def __init__(self, writer: Writer, tell: Callable[[], object]) -> None:
        self._writer = writer
        self._tell = tell
        self._count = 0
        self.bytes_new: int = 0

    def put(self, raw: Content, *, is_code: bool = True) -> bytes:
        """Take content. Returns its digest."""
        return self.put_all([raw], is_code=is_code)[0]

    def put_all(
        self, pieces: Iterable[Content], *, is_code: bool = True, is_still: bool = False
    ) -> list[bytes]:
        """Take many. Returns their digests."""
        digests = self._writer.put_all(self._counted(pieces), is_code=is_code, is_still=is_still)
        self.bytes_new = self._writer.bytes_new
        return digests

    def _counted(self, pieces: Iterable[Content]) -> Iterator[Content]:
        for piece in pieces:
            self._count += 1
            if self._count % _CHUNKS_A_SIGN == 0:
                self._tell()
            yield piece

    def has(self, digests: Sequence[bytes]) -> bool:
        """True when all of them need not be written again."""
        return self._writer.has(digests)

    def refresh(self) -> None:
        """See what others have written."""
        self._writer.refresh()

    def sync(self) -> None:
        """What was taken is safe."""
        self._writer.sync()

    def close(self) -> None:
        """The end."""
        self._writer.close()


def stored_groups(
    saved: Saved,
    writer: Writer,
    on_name: Callable[[str], object],
    early: Mapping[Place, Sequence[bytes]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """The groups as a manifest lists them; on the disk when this returns.

    Args:
        saved: What to write.
        writer: Takes it.
        on_name: Told now and then at which variable it is.
        early: What was written before, by where it lies.
    """
    groups = []
    try:
        for group in saved.groups:
            name = group.names[0]
            on_name(name)
            telling = _Telling(writer, partial(on_name, name))
            groups.append(
                {
                    "names": list(group.names),
                    "stream": store_content(telling, group.stream),
                    "buffers": [
                        store_content(
                            telling,
                            buffer,
                            is_code=False,
                            digests=_known(early, buffer, telling)
                            if number in group.filled_in
                            else None,
                        )
                        for number, buffer in enumerate(group.buffers)
                    ],
                    "filled_in": list(group.filled_in),
                }
            )
        on_name(_DISK)
        writer.sync()
    finally:
        writer.close()
    return groups


def _known(
    early: Mapping[Place, Sequence[bytes]], buffer: memoryview, writer: _Telling
) -> Sequence[bytes] | None:
    """The digests of what was written early; None where the writer is to look for itself.

    Code of the user's classes may have given memory back that somebody holds, by `ndarray.resize`.
    """
    if HAS_FAST or not early:
        return None  # it knows chunks by their fast hash: 0.1 s for a gigabyte
    found = early.get(place_of(buffer))
    if found is None:
        return None
    first = writer.put(next(pieces_of(buffer)), is_code=False)
    return found if first == found[0] else None


def _listed(left: NotSaved) -> list[str]:
    return [left.name, left.type, left.reason]


def _in_child(
    work: Callable[[Callable[[str], object]], Document], wanted: Wanted, silence_s: float
) -> tuple[Document | None, str, str]:
    """What the child says at its end; else the variable that it was at, and how it ended."""
    reader, mouth = os.pipe()
    try:
        pid = fork()
    except OSError as error:
        os.close(reader)
        os.close(mouth)
        raise StoreError(
            f"the variables could not be saved: there can be no more processes ({error.strerror})"
        ) from None
    if pid == 0:
        _child(work, mouth)
    os.close(mouth)
    try:
        lines, is_silent = _listen(reader, wanted, silence_s)
    finally:
        os.close(reader)
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if not wanted():
        raise StoreError("the checkpoint was given up")
    said = [orjson.loads(line) for line in lines]
    last = said[-1] if said else {}
    if "done" in last:
        return last["done"], "", ""
    if "refused" in last:
        raise StoreError(last["refused"])
    if is_silent:
        return None, last.get("at", ""), f"took longer than {silence_s:g} s"
    if os.WIFSIGNALED(status):
        return None, last.get("at", ""), f"died of {signal_name(os.WTERMSIG(status))}"
    return None, last.get("at", ""), f"ended its process ({os.waitstatus_to_exitcode(status)})"


def _child(work: Callable[[Callable[[str], object]], Document], mouth: int) -> None:
    """The life of the child; never returns."""
    code = 1
    try:

        def say(document: dict[str, Any]) -> None:
            data = memoryview(orjson.dumps(document) + b"\n")
            while data:
                data = data[os.write(mouth, data) :]

        try:
            found = work(lambda name: say({"at": name}))
        except StoreError as error:
            say({"refused": error.message})
        else:
            say({"done": found})
        code = 0
    finally:
        os._exit(code)


def _listen(reader: int, wanted: Wanted, silence_s: float) -> tuple[list[bytes], bool]:
    """All whole lines until the child closes its end; True when it was silent for too long."""
    data = bytearray()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    poll.register(wanted.fileno(), 0)
    deadline = time.monotonic() + silence_s
    while (left_s := deadline - time.monotonic()) > 0 and wanted():
        ready = [fd for fd, _ in poll.poll(left_s * 1000)]
        if reader not in ready:
            continue
        got = os.read(reader, _READ_BYTES)
        if not got:
            return _whole_lines(data), False
        data += got
        is_disk = bytes(data).rstrip(b"\n").endswith(b'{"at":""}')
        deadline = time.monotonic() + (_DISK_S if is_disk else silence_s)
    return _whole_lines(data), True


def _whole_lines(data: bytearray) -> list[bytes]:
    return bytes(data).split(b"\n")[:-1]
