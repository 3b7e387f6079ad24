"""The sign that a session lives, and how a dead one is claimed exactly once.

Called by `session.assembly` (take, release) and by `session.deaths` (claim).

    .flow/run/<session>.lease              written when the session starts, deleted when it ends
    .flow/run/<session>.claimed.<claimer>  a dead session's lease in the hands of one other session

Claiming is a rename, so one claimer wins; a claimer that dies before it has told of the death is
claimed in turn.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

from flow_kernel.records.process import ProcessId, is_alive, oom_kills, this_process

_OWNER: Final = "FLOW_OWNER_PID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What a session says of itself while it lives.

    Attributes:
        session: 32 hex.
        process: The process it runs in.
        plan_id: Where its cells are recorded.
        task_id: Where its cells are recorded.
        started_at: UTC, ISO 8601.
        notebook: Path of the notebook when the client tells it, else empty.
        oom_kills: Counters of the kernel at the start, for comparison.
        connection_file: Where its kernel can be reached; empty where there is none.
        is_private: A program has started the kernel for itself; who looks for one passes it by.
    """

    session: str
    process: ProcessId
    plan_id: str
    task_id: str
    started_at: str
    notebook: str
    oom_kills: dict[str, int]
    connection_file: str = ""
    is_private: bool = False


def owned(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a kernel that the program which starts it wants for itself."""
    return {**env, _OWNER: str(os.getpid())}


def is_owned(env: Mapping[str, str]) -> bool:
    """True where `env` is such a one of this very process; what it starts has another parent."""
    return env.get(_OWNER) == str(os.getppid())


def take(  # noqa: PLR0913 - the assembly passes them once, each by name
    run_dir: Path,
    *,
    session: str,
    plan_id: str,
    task_id: str,
    started_at: str,
    notebook: str,
    connection_file: str = "",
    is_private: bool = False,
) -> Path:
    """Write the lease of this process's session.

    Returns:
        Its path.

    Raises:
        OSError: The home refuses.
    """
    lease = Lease(
        session=session,
        process=this_process(),
        plan_id=plan_id,
        task_id=task_id,
        started_at=started_at,
        notebook=notebook,
        oom_kills=oom_kills(),
        connection_file=connection_file,
        is_private=is_private,
    )
    told = asdict(lease)
    if not is_private:
        del told["is_private"]  # versions that do not know it read the lease, too
    path = run_dir / f"{session}.lease"
    draft = run_dir / f"{session}.lease.new"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, orjson.dumps(told))
    finally:
        os.close(fd)
    draft.replace(path)
    return path


def read(path: Path) -> Lease | None:
    """The lease in `path`, or None when it is no lease of ours."""
    try:
        data = orjson.loads(path.read_bytes())
        process = ProcessId(**data.pop("process"))
        return Lease(process=process, **data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def living(run_dir: Path) -> list[Lease]:
    """The leases of a home's sessions that live, oldest first."""
    here = this_process()
    found = [lease for path in run_dir.glob("*.lease") if (lease := read(path)) is not None]
    return sorted(
        (lease for lease in found if is_alive(lease.process, here)),
        key=lambda lease: lease.started_at,
    )


def claim_dead(run_dir: Path, claimer: str) -> Iterator[tuple[Lease, Path]]:
    """Claim each dead session of a home for the session `claimer`, which holds a lease itself.

    Yields:
        The lease and the path it has now; the caller deletes the path when the death is recorded.
    """
    here = this_process()
    for path in sorted(run_dir.glob("*.lease")) + sorted(run_dir.glob("*.claimed.*")):
        if path.name.startswith(claimer) or path.name.endswith(claimer):
            continue
        lease = read(path)
        if lease is None or is_alive(lease.process, here):
            continue
        if path.suffix != ".lease" and _is_live_claim(run_dir, path):
            continue
        claimed = run_dir / f"{lease.session}.claimed.{claimer}"
        try:
            path.rename(claimed)
        except OSError:  # another session was first
            continue
        yield lease, claimed


def _is_live_claim(run_dir: Path, path: Path) -> bool:
    holder = read(run_dir / f"{path.suffix[1:]}.lease")
    return holder is not None and is_alive(holder.process, this_process())
