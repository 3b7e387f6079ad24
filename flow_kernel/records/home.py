"""Where a home lies and what is in it.

Called by `session.assembly` inside a kernel and by every verb of the command line.

    .flow/log/<plan>/<task>.jsonl            the log of a task
    .flow/log/<plan>/<task>.<n>.jsonl        its full parts, oldest first
    .flow/log/<plan>/<task>.<8 hex>.jsonl    on network file systems: the log of one session
    .flow/flow.db                            plans, tasks, context, approvals (SQLite)
    .flow/objects/outputs/<2 hex>/<sha256>   what cells displayed, where it is kept
    .flow/run/                               leases, last output and workers of sessions

The nearest ancestor with a `.flow` wins, else the git top level, else the working directory; never
`/` or the user's home itself (a directory there would collect every project's records): then a
folder of the Jupyter data directory. `FLOW_HOME` overrides all of it.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.names import safe_file_name

globals()["__builtins__"] = FROZEN_BUILTINS

HOME_DIR: Final = ".flow"
_NETWORK_FS: Final = frozenset(
    [
        "nfs",
        "nfs3",
        "nfs4",
        "cifs",
        "smb",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "lustre",
        "gpfs",
        "glusterfs",
        "beegfs",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph-fuse",
        "fuse.s3fs",
        "fuse.rclone",
        "fuse.gcsfuse",
        "fuse.juicefs",
        "fuse.davfs2",
    ]
)
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_SESSION_DIGITS: Final = 8
# Bound at import: the journal makes a deleted home anew inside a user's cell.
_mkdir: Final = os.mkdir
_open: Final = os.open
_write: Final = os.write
_close: Final = os.close
_NEW_FILE: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)


@dataclass(frozen=True, slots=True)
class Home:
    """A directory of records; nothing is created before `ensure`."""

    root: Path

    @property
    def log_dir(self) -> Path:
        """The task logs, one folder a plan."""
        return self.root / "log"

    @property
    def outputs_dir(self) -> Path:
        """What cells displayed, in files named by their content; made when one is kept."""
        return self.root / "objects" / "outputs"

    @property
    def run_dir(self) -> Path:
        """Leases and last output of the sessions that run."""
        return self.root / "run"

    @property
    def store_path(self) -> Path:
        """The database of plans, tasks, context and approvals."""
        return self.root / "flow.db"

    def fault_path(self, session: str) -> Path:
        """Where faulthandler writes the stack of a fatal signal in `session`."""
        return self.run_dir / f"{session}.fault"

    def tail_path(self, session: str) -> Path:
        """Where the last output and the peak memory of `session` are kept."""
        return self.run_dir / f"{session}.tail"

    def workers_path(self, session: str) -> Path:
        """Where `session` tells which workers it has."""
        return self.run_dir / f"{session}.workers"

    def stack_path(self, session: str) -> Path:
        """Where `session` writes its stack when it is asked to."""
        return self.run_dir / f"{session}.stack"

    def log_path(self, plan_id: str, task_id: str) -> Path:
        """The log file that a task appends to; rotated ones lie beside it as `<task>.<n>.jsonl`."""
        return self.log_dir / log_name(plan_id, task_id)

    def log_files(self) -> list[Path]:
        """All log files, oldest rotation of a task first."""
        return sorted(self.log_dir.glob("*/*.jsonl"), key=_rotation_order)

    def ensure(self) -> None:
        """Make the directories (0700) and the `.gitignore` that keeps records out of commits.

        Raises:
            OSError: The file system refuses; recording then goes on in memory.
        """
        make_home(str(self.root))


def log_name(plan_id: str, task_id: str, session: str | None = None) -> str:
    """The path of a task's log below the log directory.

    Args:
        plan_id: Any text.
        task_id: Any text.
        session: Where each session has a file of its own (network file systems), its id.
    """
    own = f".{session[:_SESSION_DIGITS]}" if session else ""
    return f"{safe_file_name(plan_id)}/{safe_file_name(task_id)}{own}.jsonl"


def make_home(root: str) -> None:
    """Make the directories of a home and its `.gitignore`, where they are missing.

    Safe in a cell that has patched `os`, `pathlib` or the builtins.

    Raises:
        OSError: The file system refuses.
    """
    _make_parents(root)
    for directory in (root, f"{root}/log", f"{root}/run"):
        make_directory(directory, 0o700)
    try:
        fd = _open(f"{root}/.gitignore", _NEW_FILE, 0o600)
    except FileExistsError:
        return
    try:
        _write(fd, b"*\n")
    finally:
        _close(fd)


def make_directory(path: str, mode: int = 0o777) -> None:
    """Make one directory unless it is there; raises OSError."""
    try:
        _mkdir(path, mode)
    except FileExistsError:
        pass


def _make_parents(root: str) -> None:
    missing = []
    parent = root.rpartition("/")[0]
    while parent:
        try:
            make_directory(parent)
            break
        except FileNotFoundError:
            missing.append(parent)
            parent = parent.rpartition("/")[0]
        except OSError:
            # A read-only file system says so of a directory that exists, too.
            break
    for directory in reversed(missing):
        make_directory(directory)


def resolve(cwd: Path, env: Mapping[str, str], *, user_home: Path, data_dir: Path) -> Home:
    """The home for a process that works in `cwd`.

    Args:
        cwd: The working directory at the start of the process.
        env: Its environment; `FLOW_HOME` wins when it is set and not empty.
        user_home: The user's home directory, which is never a home of records itself.
        data_dir: The Jupyter data directory, for working directories that have no project.

    Returns:
        The home; it need not exist yet.
    """
    forced = env.get("FLOW_HOME")
    if forced:
        return Home((cwd / Path(forced).expanduser()).absolute())
    cwd = cwd.absolute()
    # A home directory is often reached through a link, and the working directory is not.
    banned = {Path(cwd.anchor), user_home.absolute(), Path(os.path.realpath(user_home))}
    chain = [d for d in (cwd, *cwd.parents) if d not in banned]
    # os.path says False where Path raises: an ancestor that may not be searched.
    for directory in chain:
        if os.path.isdir(directory / HOME_DIR):  # noqa: PTH112 - see above
            return Home(directory / HOME_DIR)
    for directory in chain:
        if os.path.exists(directory / ".git"):  # noqa: PTH110 - see above
            return Home(directory / HOME_DIR)
    if cwd not in banned:
        return Home(cwd / HOME_DIR)
    return Home(data_dir / "flow" / "homes" / safe_file_name(str(cwd)))


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The type of the network file system that `path` lies on, or None (also where unknown)."""
    try:
        target = os.path.realpath(path)
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    best, best_type = "", ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1])
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, best_type = point, fields[2]
    return best_type if best_type in _NETWORK_FS else None


def _rotation_order(path: Path) -> tuple[str, str, str, int]:
    task, *rest = path.stem.split(".")
    session = rest.pop(0) if rest and len(rest[0]) == _SESSION_DIGITS else ""
    # The file without a number is the newest: rotation renames the full one away.
    number = int(rest[0]) if rest and rest[0].isdigit() else 1 << 60
    return (path.parent.name, task, session, number)
