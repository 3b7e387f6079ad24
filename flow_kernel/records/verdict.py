"""Whether log files hold every record as it was written.

Called by `jupyter flow check` and `log --verify`, through `scan`.

Three things are looked at: each line against its checksum; each line's `prev` against the line
before it, where the session's numbers say that nothing is missing between the two; and the numbers
of each session over all files. Writers may go on meanwhile: each file is read to where it ended
under its lock, and those that have grown are read on before a number is called missing.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from flow_kernel.errors import NotFound
from flow_kernel.records.codec import LineDamaged, clean_text, decode, link
from flow_kernel.records.home import Home
from flow_kernel.records.ledger import pruned_numbers
from flow_kernel.records.lines import TORN, Piece, open_log, raw_lines, split_damaged
from flow_kernel.records.locks import SHARED, UNLOCK, flock, lock
from flow_kernel.records.runs import Runs, is_number

_LOCK_TIMEOUT_S: Final = 0.5
# A log may be rotated between its listing and its opening, even more than once.
_LOOKS: Final = 5
_ROTATION_TRIES: Final = 10
_ROTATION_S: Final = 0.002

SeqRanges = Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Bytes that are no record as it was written.

    Attributes:
        file: Where they stand.
        line: Number of their line, from 1.
        offset: Of their first byte.
        reason: What is wrong with them.
    """

    file: Path
    line: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Records of a session that are in no file: from after `after_seq` to the next one there is."""

    session: str
    after_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `verify` found."""

    files: int
    records: int
    damaged: tuple[Damage, ...]
    gaps: tuple[Gap, ...]

    @property
    def ok(self) -> bool:
        """Nothing is damaged and nothing is missing."""
        return not self.damaged and not self.gaps

    def as_json(self) -> dict[str, object]:
        """The document that `check --json` prints."""
        return {
            "ok": self.ok,
            "files": self.files,
            "records": self.records,
            "damaged": [
                {
                    "file": clean_text(str(damage.file)),
                    "line": damage.line,
                    "offset": damage.offset,
                    "reason": damage.reason,
                }
                for damage in self.damaged
            ],
            "gaps": [{"session": gap.session, "after_seq": gap.after_seq} for gap in self.gaps],
        }


def verify_home(home: Home) -> Verdict:
    """Verify all logs of a home, whose writers may go on and whose old files may have been pruned.

    Raises:
        StoreError: A file cannot be read.
    """
    return verify(home.log_files(), pruned=pruned_numbers(home), list_again=home.log_files)


def verify(
    paths: Iterable[Path],
    *,
    pruned: SeqRanges | None = None,
    list_again: Callable[[], Iterable[Path]] | None = None,
) -> Verdict:
    """Read the files whole and say what is damaged or missing; about 4 s for a million records.

    Args:
        paths: Log files. A session's numbers run through all its tasks: what is in a file that is
            not given is missing.
        pruned: Runs of numbers (first, last) that are missing because their files were pruned.
        list_again: Where the paths come from; asked for new files before a number is missing.

    Returns:
        The verdict. A damaged line whose number was not read shows as a gap, too.

    Raises:
        NotFound: One of the files does not exist.
        StoreError: One of them cannot be read.
    """
    check = _Check()
    paths = list(paths)
    for path in paths:
        check.read(path)
    newest = {session: numbers.newest() for session, numbers in check.numbers.items()}
    for session, numbers in check.numbers.items():
        for first, last in (pruned or {}).get(session, ()):
            numbers.add_run(first, last)
    looks = 0
    while looks < _LOOKS and any(check.numbers[name].holes(newest[name]) for name in newest):
        looks += 1
        _look_again(check, [*paths, *(list_again() if list_again else ())])
    gaps = [
        Gap(session=session, after_seq=after)
        for session in sorted(newest)
        for after in check.numbers[session].holes(newest[session])
    ]
    return Verdict(
        files=len(paths), records=check.records, damaged=tuple(check.damaged), gaps=tuple(gaps)
    )


@dataclass(slots=True)
class _Check:
    """What has been read so far."""

    records: int = 0
    damaged: list[Damage] = field(default_factory=list)
    numbers: dict[str, Runs] = field(default_factory=dict)
    # How much of each file was read, by its inode: a log that is rotated changes its name.
    ends: dict[int, int] = field(default_factory=dict)

    def read(self, path: Path) -> None:
        with _open_renamed(path) as file:
            end = _settled_size(file)
            self.ends[os.fstat(file.fileno()).st_ino] = end
            before: dict[str, tuple[int, bytes]] = {}
            for number, (offset, raw, is_whole) in enumerate(raw_lines(file, 0, end), 1):
                try:
                    reason = self._take(decode(raw), raw, before) if raw else None
                except LineDamaged as error:
                    pieces = split_damaged(raw, str(error) if is_whole else TORN)
                else:
                    pieces = [Piece(0, raw, None, reason)] if reason else []
                for piece in pieces:
                    reason = piece.reason
                    if piece.record is not None:
                        reason = self._take(piece.record, piece.raw, before)
                    if reason:
                        damage = Damage(
                            file=path, line=number, offset=offset + piece.offset, reason=reason
                        )
                        self.damaged.append(damage)

    def _take(
        self, record: dict[str, object], raw: bytes, before: dict[str, tuple[int, bytes]]
    ) -> str | None:
        # What is wrong with the record, if anything.
        self.records += 1
        session, seq = record.get("session"), record.get("seq")
        if type(session) is not str or not is_number(seq):
            return "the record has no session or no number"
        numbers = self.numbers.get(session)
        if numbers is None:
            numbers = self.numbers[session] = Runs()
        numbers.add(seq)
        last = before.get(session)
        before[session] = seq, raw
        if last is not None and last[0] + 1 == seq and record.get("prev") != link(last[1]):
            return "prev is not that of the line before"
        return None


def _open_renamed(path: Path) -> BinaryIO:
    # For a moment a log that is rotated has no file of its name.
    for _ in range(_ROTATION_TRIES):
        try:
            return open_log(path)
        except NotFound:
            time.sleep(_ROTATION_S)
    return open_log(path)


def _settled_size(file: BinaryIO) -> int:
    # Under the lock no line is half written, so what stands before this is there to stay.
    fd = file.fileno()
    has_lock = lock(fd, _LOCK_TIMEOUT_S, operation=SHARED)
    try:
        return os.fstat(fd).st_size
    finally:
        if has_lock:
            flock(fd, UNLOCK)


def _look_again(check: _Check, paths: Iterable[Path]) -> None:
    # A number may be in a file that was read before it was written, or made or renamed since: what
    # has a higher number was written later, so it is there by now.
    for path in paths:
        try:
            file = open_log(path)
        except NotFound:
            continue
        with file:
            inode, end = os.fstat(file.fileno()).st_ino, _settled_size(file)
            for _, raw, _ in raw_lines(file, check.ends.get(inode, 0), end):
                _note_number(check, raw)
            check.ends[inode] = end


def _note_number(check: _Check, raw: bytes) -> None:
    try:
        record = decode(raw)
    except LineDamaged:
        return
    session, seq = record.get("session"), record.get("seq")
    if type(session) is str and is_number(seq) and session in check.numbers:
        check.numbers[session].add(seq)
