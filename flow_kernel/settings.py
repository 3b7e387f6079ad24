"""Every setting with its unit and default, as frozen values (pure).

Built by `shell` from traitlets and by `apps` from arguments; read by `session` and `records`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ISOLATED_TYPES: Final = frozenset({"sandbox-execution", "compilation", "build", "test"})
"""Types of tasks whose cells are meant to run in a worker unless they are marked otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """How the task log is written."""

    rotate_bytes: int = 64 * 1024 * 1024
    """Size at which a log file is renamed to `<task>.<n>.jsonl`."""
    backlog_bytes: int = 16 * 1024 * 1024
    """Records kept in memory while the disk refuses them; the oldest are dropped first."""
    lock_timeout_s: float = 0.05
    """How long an append waits for another writer before it writes without the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderSettings:
    """What a record holds."""

    stream_chars: int = 128 * 1024
    """Kept of stdout and of stderr, half from the head and half from the tail."""
    result_chars: int = 64 * 1024
    """Kept of the text/plain of a result, likewise of a traceback."""
    code_chars: int = 1024 * 1024
    """Kept of the source of a cell."""
    summaries: int = 200
    """Variables summarised per cell; further ones are counted."""
    summary_budget_us: int = 1000
    """Time of the processor for all summaries of a cell."""
    sample_budget_us: int = 1000
    """The same for samples that find in-place changes; about 2 us a name that a cell reads."""
    kept_outputs_bytes: int = 256_000_000
    """Most that one session writes of what its cells display, where that is kept."""
    drain_s: float = 0.005
    """How long the end of a cell waits for bytes on the captured file descriptors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """When checkpoints are taken without being asked for."""

    at_steps: bool = True
    """At the end of steps and tasks, and before what a person has approved."""
    every_cells: int = 0
    """After so many cells that may have changed something; 0 for never."""
    every_minutes: float = 0.0
    """After a cell, when the last one is so old; 0 for never."""

    budget_bytes: int = 0
    """What they may take on the disk; 0 for 10 GB, or a tenth of what is free if that is less."""

    @property
    def counts(self) -> bool:
        """True when cells are counted or timed."""
        return self.every_cells > 0 or self.every_minutes > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How the workers of isolated cells are made."""

    provisioner: str = "flow-zygote"
    """By its entry point: forks where that is safe; another one starts them where it likes."""
    provisioner_config: Mapping[str, object] = field(default_factory=dict)
    """Handed to a provisioner of somebody else."""
    python: str = ""
    """The interpreter that such a provisioner starts; empty: this one's path."""
    spares: int = 1
    """Kept ready for whoever asks next."""
    max_workers: int = 10
    """At a time, those with names that do nothing among them; further cells wait."""
    max_processes: int = 1000
    """Of one cell that says nothing of them; 0 for any number."""
    memory_budget_bytes: int = 0
    """Promised at a time to cells that say how much they may take; 0: 80 % of what is available."""
    start_timeout_s: float = 60.0
    """How long one may take to start."""
    lost_after_s: float = 30.0
    """On another machine: how long one goes on when it does not reach its session any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one session."""

    record: bool = True
    actor: str = "user"
    keep_outputs: bool = False
    """Keep the images, tables and documents that cells display, for reports."""
    formatter: str = ""
    """`module.Class` or the name of an entry point that words the texts of tasks; empty: ours."""
    isolated_types: frozenset[str] = ISOLATED_TYPES
    """Types of tasks whose cells are isolated by default."""
    isolate_all: bool = False
    """Every cell runs in the worker of the session."""
    memory_interrupt_at: float = 0.95
    """The share of the memory available at its start that a cell may take; 0 for any."""
    remind_command: tuple[str, ...] = ()
    """Run for each reminder of an open question: a program and its arguments; empty for none."""
    approve: str = "auto"
    """Which cells need an answer before they run: auto (none), confirm_if_risky or always."""
    human_only: bool = False
    """No program may pass on the answer to a question: people give it here or elsewhere."""
    mirrors: tuple[str, ...] = ()
    """Names of the plug-ins that copy the logs to other systems."""
    checkpoints: CheckpointSettings = field(default_factory=CheckpointSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    recorder: RecorderSettings = field(default_factory=RecorderSettings)
    pool: PoolSettings = field(default_factory=PoolSettings)
