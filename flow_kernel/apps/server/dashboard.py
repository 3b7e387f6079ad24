"""What the handlers of one server share: its home, the handle on its state, and what is watched.

Made by `extension` once for a server. Nothing is opened before the first question, and a home that
has no store yet is not given one by a look.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flow_kernel.apps.control_client import ControlClient
from flow_kernel.apps.server.live import Feed
from flow_kernel.apps.server.shelved import Shelved
from flow_kernel.apps.server.worker_history import WorkerHistory
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import NotFound
from flow_kernel.records.home import HOME_DIR, Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.records.lease import Lease, living
from flow_kernel.records.redaction import Redactor
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of, store_of

if TYPE_CHECKING:
    from flow_kernel.store.sqlite import SqliteStore

_MOST_ANSWERS: Final = 16
_MOST_ASKED: Final = 16
_LOOK_S: Final = 0.2


class Dashboard:
    """The shared part of a server; safe with several threads.

    Args:
        home: What is shown.
        root: The directory of the server, which is the project where the home lies elsewhere.
    """

    def __init__(self, home: Home, *, root: Path) -> None:
        self.home = home
        self.project: Path = home.root.parent if home.root.name == HOME_DIR else root
        self.history: WorkerHistory = WorkerHistory(home)
        self.feed: Feed = Feed(home, version=self._version, sample=self.history.sample)
        self.shelved: Shelved = Shelved(home)
        self.rollback_lock: threading.Lock = threading.Lock()
        # Not those of the server: what is stuck here must not hold up its files and notebooks.
        self.answering: ThreadPoolExecutor = ThreadPoolExecutor(_MOST_ANSWERS, "flow-dashboard")
        self.asking: ThreadPoolExecutor = ThreadPoolExecutor(_MOST_ASKED, "flow-asking")
        """For the questions of one answer: never for an answer, which would wait for itself."""
        self._lock = threading.Lock()
        self._flow: Flow | None = None
        # Apart from the one for answers: what one of them waits for must not hold up the feed, and
        # a connection is not told of its own changes.
        self._watched: SqliteStore = store_of(home, wait_s=_LOOK_S)

    @property
    def has_store(self) -> bool:
        """True once something made tasks, questions or runs here."""
        return self.home.store_path.exists()

    def flow(self) -> Flow:
        """The state of the home.

        Raises:
            NotFound: There is none yet.
        """
        if not self.has_store:
            raise NotFound(f"there are no tasks and no questions in {self.home.root}")
        with self._lock:
            if self._flow is None or self._flow.is_closed:
                self._flow = flow_of(self.home)
            return self._flow

    def desk(self) -> ApprovalDesk:
        """Where its questions are answered; raises NotFound as `flow` does."""
        redactor = Redactor(os.environ)
        return ApprovalDesk(
            self.flow().store, now=utc_now_ms, redact=lambda text: redactor.text(text)[0]
        )

    def sessions(self) -> list[Lease]:
        """The sessions that live, the oldest first."""
        return living(self.home.run_dir) if self.home.run_dir.is_dir() else []

    def session(self, session: str) -> Lease:
        """One that lives.

        Raises:
            NotFound: It does not, or has no kernel that could be asked.
        """
        for lease in self.sessions():
            if lease.session == session and lease.connection_file:
                return lease
        raise NotFound(f"the session {session[:32]} has ended, or has no kernel")

    @contextmanager
    def kernel(self, session: str) -> Iterator[ControlClient]:
        """The control channel of a session that lives; see `session`."""
        with ControlClient.of(self.session(session)) as client:
            yield client

    def terminal(self) -> Terminal:
        """What a verb of the command line would know in the project."""
        return Terminal(
            StringIO(),
            StringIO(),
            env=os.environ,
            cwd=self.project,
            now=lambda: datetime.now(UTC),
        )

    def _version(self) -> int | None:
        return self._watched.version() if self.has_store else None
