"""Sessions that ended without saying so: found, explained and recorded once.

Called by `session.assembly` when a session starts on a home, and by whoever waited for a session.

Nobody but the parent of a process learns its exit status, so the reason is judged from what the
dead session left: the stack that faulthandler wrote, the kernel's counters of out-of-memory kills,
the boot id of its lease. What leaves no trace (SIGKILL, `os._exit`) is `killed`, and the record
says so.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from flow_kernel.records.codec import LineDamaged, decode
from flow_kernel.records.home import Home, log_name, network_file_system
from flow_kernel.records.journal import Journal
from flow_kernel.records.lease import Lease, claim_dead
from flow_kernel.records.process import boot_id, memory_total, oom_kills
from flow_kernel.records.tail import LastWords, read_last_words
from flow_kernel.settings import JournalSettings

_FATAL_SIGNALS: Final = (
    ("Segmentation fault", "segfault", 11),
    ("Bus error", "segfault", 7),
    ("Illegal instruction", "segfault", 4),
    ("Floating-point exception", "segfault", 8),
    ("Floating point exception", "segfault", 8),
    ("Aborted", "killed", 6),
)
_FRAME: Final = re.compile(r'File "([^"\n]*)", line (\d+) in')
_SCAN_BYTES: Final = 64 * 1024 * 1024
_LOOK_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """What is known of the end of one session.

    Attributes:
        lease: What the session said of itself.
        reason: One of segfault, oom_kernel, killed, lost.
        signal: The signal's number where it is known.
        detail: One sentence on how the reason was judged.
        last_seq: The last record of the session.
        running: The `cell_started` record of the cell that ran when it died; None when it was idle.
        words: Its last output and peak memory.
    """

    lease: Lease
    reason: str
    signal: int | None
    detail: str
    last_seq: int
    running: dict[str, object] | None
    words: LastWords

    @property
    def is_worth_telling(self) -> bool:
        """False for an idle kernel that was killed: clients end kernels that way every day."""
        return self.running is not None or self.reason in ("segfault", "oom_kernel")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trail:
    """The end of one session in one log file."""

    last_seq: int = 0
    running: dict[str, object] | None = None
    has_death: bool = False


def record_deaths(home: Home, *, session: str, settings: JournalSettings) -> list[Death]:
    """Claim the dead sessions of `home` and write one `death` record for each.

    The record continues the dead session's own chain: its `session`, its next `seq`.

    Args:
        home: A home that can be written.
        session: The claiming session.
        settings: How the log is written.

    Returns:
        The deaths that were recorded now, oldest first.
    """
    deaths = []
    for lease, claimed in claim_dead(home.run_dir, session):
        trail = _read_trail(logs_of(home, lease), lease.session)
        death = _judge(home, lease, trail)
        if not trail.has_death:
            _write(home, death, by=session, settings=settings)
            deaths.append(death)
        for leftover in (*_leftovers(home, lease.session), claimed):
            leftover.unlink(missing_ok=True)
    return sorted(deaths, key=lambda death: death.lease.started_at)


def running_cell(home: Home, lease: Lease) -> dict[str, object] | None:
    """The `cell_started` record of the cell that a session runs, as its log says."""
    return _read_trail(logs_of(home, lease), lease.session, scan_bytes=_LOOK_BYTES).running


def explain_end(home: Home, lease: Lease) -> Death:
    """Why a session has ended, for whoever asks before its death is recorded; claims nothing."""
    return _judge(home, lease, _read_trail(logs_of(home, lease), lease.session))


def _leftovers(home: Home, session: str) -> Iterable[Path]:
    return (
        home.fault_path(session),
        home.tail_path(session),
        home.workers_path(session),
        home.stack_path(session),
    )


def _judge(home: Home, lease: Lease, trail: _Trail) -> Death:
    words = read_last_words(home.tail_path(lease.session))
    reason, signal, detail = _reason(lease, words, _fault_text(home, lease.session))
    return Death(
        lease=lease,
        reason=reason,
        signal=signal,
        detail=detail,
        last_seq=trail.last_seq,
        running=trail.running,
        words=words,
    )


def _fault_text(home: Home, session: str) -> str:
    try:
        return home.fault_path(session).read_text(encoding="utf-8", errors="replace")[:4000]
    except OSError:
        return ""


def _reason(lease: Lease, words: LastWords, fault: str) -> tuple[str, int | None, str]:
    if lease.process.boot_id != boot_id():
        return "lost", None, "the machine was restarted while the kernel ran"
    for name, reason, signal in _FATAL_SIGNALS:
        if f"Fatal Python error: {name}" in fault:
            return reason, signal, f"fatal signal: {name}{_where(fault)}"
    if fault.startswith("Fatal Python error"):
        return "killed", 6, fault.splitlines()[0]
    now = oom_kills()
    grown = {key for key, count in now.items() if count > lease.oom_kills.get(key, count)}
    total, peak = memory_total() or 0, words.peak_rss_bytes or 0
    if "cgroup" in grown or ("machine" in grown and peak > total // 8):
        return "oom_kernel", 9, "the operating system killed a process for memory meanwhile"
    return "killed", None, "it left no trace: SIGKILL, os._exit or the like"


def _where(fault: str) -> str:
    # The innermost frame of the thread that failed is the first one of the report.
    found = _FRAME.search(fault)
    return f", in {Path(found[1]).name} line {found[2]}" if found else ""


def logs_of(home: Home, lease: Lease) -> list[Path]:
    """Files of its task, the newest last; rotation may have happened just before the end."""
    is_network = network_file_system(home.root) is not None
    name = log_name(lease.plan_id, lease.task_id, lease.session if is_network else None)
    stem = name.removesuffix(".jsonl")
    current = home.log_dir / name
    return [
        path
        for path in home.log_files()
        if path == current or path.relative_to(home.log_dir).as_posix().startswith(f"{stem}.")
    ][-2:]


def _read_trail(logs: Iterable[Path], session: str, *, scan_bytes: int = _SCAN_BYTES) -> _Trail:
    trail = _Trail()
    mark = f'"session":"{session}"'.encode()
    for line in chain.from_iterable(_last_bytes(log, scan_bytes).split(b"\n") for log in logs):
        if mark not in line[:200]:
            continue
        try:
            trail = _follow(trail, decode(line))
        except LineDamaged:
            continue
    return trail


def _follow(trail: _Trail, record: dict[str, object]) -> _Trail:
    kind, running = record.get("kind"), trail.running
    if kind == "cell_started":
        # A nested cell does not replace the one that runs it.
        if running is None or record.get("parent_span_id") is None:
            running = record
    elif kind == "cell" and running is not None and record.get("span_id") == running["span_id"]:
        running = None
    seq = record.get("seq")
    return _Trail(
        last_seq=max(trail.last_seq, seq if type(seq) is int else 0),
        running=running,
        has_death=trail.has_death or kind == "death",
    )


def _last_bytes(log: Path, scan_bytes: int) -> bytes:
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - scan_bytes))
            return file.read()
    except OSError:
        return b""


def _write(home: Home, death: Death, *, by: str, settings: JournalSettings) -> None:
    journal = Journal(home, death.lease.session, settings=settings, last_seq=death.last_seq)
    running = death.running or {}
    journal.append(
        "death",
        death.lease.plan_id,
        death.lease.task_id,
        {
            "pid": death.lease.process.pid,
            "reason": death.reason,
            "signal": death.signal,
            "exit_code": None,
            "last_seq": death.last_seq,
            "peak_rss_bytes": death.words.peak_rss_bytes,
            "last_output": death.words.output,
            "span_id": running.get("span_id"),
            "detail": death.detail,
            "written_by": by,
        },
    )
    journal.sync()
    journal.close()
