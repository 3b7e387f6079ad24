"""A session without variables, for a verb that acts on the files of a project.

Called by `rollback`. Its checkpoints hold files alone.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flow_kernel.apps.shelves import key_path
from flow_kernel.apps.terminal import Terminal
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal, utc_now_ms
from flow_kernel.records.names import ADHOC_TASK, DEFAULT_PLAN
from flow_kernel.session.carrier import Carrier
from flow_kernel.session.checkpoints.opening import noting, open_checkpoints
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.surroundings import Surroundings
from flow_kernel.session.open_home import store_of
from flow_kernel.session.place import Place, Whereabouts
from flow_kernel.settings import JournalSettings


class _Nowhere:
    """Where no cell runs there is nothing to look for."""

    def begin(self, *, is_first: bool = True) -> None:
        """Nothing."""

    def within(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def __call__(self) -> tuple[str, ...]:
        return ()

    def beside(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


@contextmanager
def checkpoints_at(home: Home, terminal: Terminal) -> Iterator[Checkpoints]:
    """The checkpoints of a home, for a session that ends with the block."""
    session = os.urandom(16).hex()
    store = store_of(home)
    journal = Journal(home, session, settings=JournalSettings())
    closers: list[Callable[[], None]] = []
    where = Whereabouts(session, DEFAULT_PLAN, ADHOC_TASK, on_move=lambda _: None)

    def place() -> Place:
        return where.now

    try:
        yield open_checkpoints(
            home,
            Surroundings(
                namespace={},
                hidden={},
                anchors=lambda: {},
                key_path=key_path(),
                cwd=terminal.cwd,
                user_home=Path.home(),
                look_around=_Nowhere(),
            ),
            env=terminal.env,
            session=session,
            place=place,
            seq=lambda: journal.last_seq,
            now=utc_now_ms,
            note=noting(store, place=place, now=utc_now_ms, carry=Carrier(home, store, journal)),
            closers=closers,
            emit=lambda *_, **__: None,
            on_capture=lambda: None,
            say=terminal.remark,
        )
    finally:
        for close in closers:
            close()
        journal.close()
        store.close()
