"""One notebook session: who it is, its recorder and what its log says.

Called by `shell`, which holds one for as long as the kernel or the extension lives.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.tail import OutputTail
from flow_kernel.session.history import History
from flow_kernel.session.identity import Identity
from flow_kernel.session.notices import Notices
from flow_kernel.session.recorder import Recorder
from flow_kernel.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The parts of a session; made by `session.assembly`, closed once.

    Attributes:
        identity: Session, plan and task.
        home: Where the records lie.
        settings: As they were at the start.
        recorder: Records cells.
        tail: Keeps the last output for the case that the process is killed.
        journal: The log itself.
        history: What the log says of this session.
        notices: Sentences for the person.
        warm_up: Loads what the first cell will need; to be called when there is time.
        on_close: What else ends with the session: lease, fault file, last words.
    """

    identity: Identity
    home: Home
    settings: Settings
    recorder: Recorder
    tail: OutputTail
    journal: Journal
    history: History
    notices: Notices
    on_close: list[Callable[[], None]]
    warm_up: Callable[[], object]
    pid: int

    def sign_off(self) -> None:
        """Declare the end: whatever happens to the process from now on is no death."""
        if os.getpid() == self.pid:
            while self.on_close:
                self.on_close.pop()()

    def close(self) -> None:
        """End the session in order; harmless the second time."""
        if os.getpid() != self.pid:
            return
        self.recorder.close()
        self.journal.close()
        self.sign_off()
