"""The bounds of a sandbox (pure).

Made by `extension` of what the server's configuration says; read by `server` and `engine`.
"""

from dataclasses import dataclass, field

from flow_kernel.settings import PoolSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """What a sandbox may take, and how patient it is."""

    max_connections: int = 256
    connections_per_s: float = 50.0
    """On the average; a burst of `max_connections` is let in."""
    max_tasks: int = 200
    """That run or wait, of all users."""
    kept_tasks: int = 200
    """Of each user that have ended; those that are read are not counted, and kept."""
    keep_s: float = 600.0
    """How long what a task has said can be asked for after its end."""
    remembered_tasks: int = 50_000
    """Of each user that are not kept: an order with the id of one of them is refused."""
    remember_s: float = 86_400.0
    """For how long."""
    output_bytes: int = 256 * 1024 * 1024
    """Of one task; one that says more is ended."""
    spool_bytes: int = 2 << 30
    """Of all tasks on the disk; where they are more, those that ended first are not kept."""
    reserve_bytes: int = 512 << 20
    """That the tasks leave free on the disk."""
    heartbeat_s: float = 30.0
    pool: PoolSettings = field(default_factory=lambda: PoolSettings(spares=2))
