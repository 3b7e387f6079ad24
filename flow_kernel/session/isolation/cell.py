"""What is to run in a worker (pure).

Made by `shell.isolated.cell`; called by `service` and `ends`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flow_kernel.workers.limits import Limits, Requirements


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatedCell:
    """What is to run in a worker.

    Attributes:
        code: Its source.
        header: Of the client's request.
        namespace: Of the session.
        hidden: Names in it that are the shell's own.
        count: The number of the cell.
        inputs: Names to send; "auto" for those that it reads.
        outputs: Names to bring back.
        limits: That it is held to.
        needs: What has to be there before it begins.
        worker: Its name; None for that of the session.
        is_fresh: True for a new worker of its own, which ends with the cell.
        is_background: True where nobody waits for it.
        priority: Among those that wait for a worker; the greatest first.
        is_idempotent: True where it may run again, should its worker die.
        is_script: True where the code is a script of bash.
        is_fork: True for a copy of the session, which ends with the cell as well.
        can_ask: True where somebody answers `input()`.
        is_silent: True where its last expression is not shown.
        has_history: True where it is a line of the history there.
        has_displays: True where figures are shown inline.
        holds_state: True where the worker holds the variables of the session, and checkpoints are
            of those.
        acts_alone: True where it is interrupted once it certainly does not go on: nobody has
            begun it who could be asked.
        directory: Where it runs, and looks for modules first; empty for where the session is.
    """

    code: str
    header: Mapping[str, Any]
    namespace: Mapping[str, object]
    hidden: Mapping[str, object] = field(default_factory=dict)
    count: int | None = None
    inputs: Any = "auto"
    outputs: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    needs: Requirements = field(default_factory=Requirements)
    worker: str | None = None
    is_fresh: bool = False
    is_background: bool = False
    priority: int = 0
    is_idempotent: bool = False
    is_script: bool = False
    is_fork: bool = False
    can_ask: bool = False
    is_silent: bool = False
    has_history: bool = True
    has_displays: bool = True
    holds_state: bool = False
    acts_alone: bool = False
    directory: str = ""
