"""What the isolated cells of a session are made of (pure).

Called by `session.assembly`, which fills it in, and by `opening`, which puts them together.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.session.announcer import Emit
from flow_kernel.session.isolation.stillness import Stillness
from flow_kernel.session.place import Whereabouts
from flow_kernel.settings import PoolSettings

if TYPE_CHECKING:
    from flow_kernel.session.isolation.ground import Ground


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationParts:
    """What they are made of.

    Attributes:
        home: Of the session.
        journal: Its log.
        where: The task that its cells belong to.
        ground: What the shell brings; None where no cell can be isolated.
        settings: How workers are made.
        still: Whether its variables may have changed.
        redact: Takes secrets out of a text.
        emit: Tells agents of an event.
        data_dir: Of the user, for what all sessions know; None where there is none.
        own_imports: Stands around imports that are no cell's.
    """

    home: Home
    journal: Journal
    where: Whereabouts
    ground: "Ground | None"
    settings: PoolSettings
    still: Stillness
    redact: Callable[[str], str]
    emit: Emit
    data_dir: Path | None
    own_imports: Callable[[], AbstractContextManager[None]]
