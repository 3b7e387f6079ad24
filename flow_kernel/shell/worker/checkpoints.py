"""The time machine of a worker that holds the variables of its session.

Made by `shell.worker.app`; at work where every cell of the session runs here. It freezes, writes
and restores the variables of this process. What the log says of that is written by the session,
which is told once it is done: before whoever asked for it gets the answer.

    a cell   place ◀─ call ─ session      take, go back      news ─ call ─▶ session
    none     a request brings the place   take               the reply carries the news
"""

import os
import shlex
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import UsageError as IPythonUsageError

from flow_kernel.errors import FlowError, NotFound
from flow_kernel.records.home import Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.announcer import Scalar
from flow_kernel.session.checkpoints.errands import Wish
from flow_kernel.session.notices import Notices
from flow_kernel.session.place import Place

if TYPE_CHECKING:
    from flow_kernel.session.checkpoints.checkpoint import Checkpoint
    from flow_kernel.session.checkpoints.rollback import Rollback
    from flow_kernel.session.checkpoints.service import Checkpoints
    from flow_kernel.session.checkpoints.taking import Taking
    from flow_kernel.shell.worker.calls import WorkerCalls
    from flow_kernel.shell.worker.job import WorkerJobs

MAGICS: Final = ("checkpoint", "rollback")
_OWNER: Final = "w"


class WorkerCheckpoints:
    """See the module.

    Args:
        shell: IPython's.
        jobs: Of the worker; leaves our imports out of what cells import.
        call: Has the session do something.
    """

    def __init__(self, shell: Any, jobs: "WorkerJobs", call: "WorkerCalls") -> None:
        self._shell = shell
        self._jobs = jobs
        self._call: Any = call
        self._place: Mapping[str, Any] = {}
        self._opened: Checkpoints | None = None
        self._closers: list[Callable[[], None]] = []
        self._news: dict[str, list[Any]] = _no_news()
        self._failures: set[str] = set()
        self.notices: Notices = Notices()
        self.is_on: bool = False
        """True while a cell runs whose session holds no variables itself."""

    @property
    def home(self) -> Home:
        """Of the session."""
        return Home(Path(self._place["home"]))

    @property
    def checkpoints(self) -> "Checkpoints":
        """Of this process."""
        if self._opened is None:
            raise NotFound("no cell of the session runs in this worker now")
        return self._opened

    def answer(self, magic: str, line: str) -> object:
        """What `%checkpoint` and `%rollback` show.

        Args:
            magic: Its name.
            line: What stands behind it.
        """
        try:
            words = shlex.split(line)
            with self._at_work():
                from flow_kernel.shell.magics import checkpoint_answers  # loaded by `_at_work`

                if magic == "rollback":
                    return checkpoint_answers.rollback(self, words)
                return checkpoint_answers.checkpoint(self, words, must_wait=True)
        except (FlowError, ValueError) as error:
            raise IPythonUsageError(f"%{magic}: {error}") from None

    def names(self) -> set[str]:
        """Of all checkpoints of the home."""
        with self._at_work():
            from flow_kernel.shell.magics import checkpoint_answers  # loaded by `_at_work`

            return checkpoint_answers.names_of(self)

    def checkpoint(self, name: str | None = None, *, tag: bool = False) -> "Taking":
        """As `Session.checkpoint`; on the disk when this returns."""
        with self._at_work() as checkpoints:
            return checkpoints.keep(name, tag=tag, wait=True)

    def rollback(
        self, to: "str | Checkpoint | Taking", *, what: str, dry_run: bool, trusts: bool
    ) -> "Rollback":
        """As `Session.rollback`."""
        with self._at_work() as checkpoints:
            from flow_kernel.session.checkpoints.going_back import go_back_to  # with the rest

            return go_back_to(checkpoints, self.home, to, what=what, dry_run=dry_run, trusts=trusts)

    def take(self, wishes: Sequence[Wish]) -> None:
        """Take what the session wants; what goes wrong is said and fails no cell."""
        try:
            with self._at_work() as checkpoints:
                for wish in wishes:
                    _take(checkpoints, wish)
        except Exception as error:  # noqa: BLE001 - the user's cell goes on whatever became of ours
            if str(error) not in self._failures:
                self._failures.add(str(error))
                said = f"an automatic checkpoint was not taken: {error}"
                with suppress(FlowError):
                    self._call("checkpoint_told", news={"says": [said]})

    def reply(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request of the session for a checkpoint, while no cell runs."""
        self._place = content["place"]
        try:
            _take(self._ready(), Wish(*content["wish"]))
        except Exception as error:  # noqa: BLE001 - it is the session that tells of it
            return {"status": "error", "evalue": str(error), **self._told()}
        except KeyboardInterrupt:
            return {"status": "error", "evalue": "it was interrupted", **self._told()}
        finally:
            self._hand_on()
        return {"status": "ok", **self._told()}

    # -- inside ------------------------------------------------------------------------------------

    @contextmanager
    def _at_work(self) -> "Iterator[Checkpoints]":
        """The time machine, for a cell; the session is told at the end of the block."""
        self._place = self._call("checkpoint_place")
        try:
            yield self._ready()
        except BaseException:
            with suppress(FlowError):  # what has gone wrong before is the one to be seen
                self._come_to_an_end()
            raise
        self._come_to_an_end()

    def _come_to_an_end(self) -> None:
        try:
            self._hand_on()
        finally:
            self._tell()

    def _tell(self) -> None:
        news = self._told()
        if not any(news.values()):
            return
        news_id = uuid.uuid4().hex
        try:
            self._call("checkpoint_told", news=news, news_id=news_id)
        except KeyboardInterrupt:
            # It is done, and whether the session has heard of it nobody knows.
            self._call("checkpoint_told", news=news, news_id=news_id)
            raise
        except FlowError as error:
            if all(kind != "rollback" for kind, _ in news["notes"]):
                raise
            # It is done all the same, and whoever has asked for it gets to see what.
            reason = error.message.removesuffix("; nothing was changed")
            print(f"flow: the log could not note it: {reason}", file=sys.stderr)  # noqa: T201 - under the cell

    def _told(self) -> dict[str, list[Any]]:
        news, self._news = self._news, _no_news()
        return news

    def _hand_on(self) -> None:
        """Leave nothing behind that only this process knows: it may be killed at any time."""
        for close in self._closers:
            with suppress(Exception):  # the next one makes it anew
                close()

    def _ready(self) -> "Checkpoints":
        if self._opened is None:
            with self._jobs.own_imports():  # what they load is no import of the cell
                from flow_kernel.shell.magics import checkpoint_answers  # noqa: F401 - 40 ms, seldom used

                self._opened = self._open()
        return self._opened

    def _open(self) -> "Checkpoints":
        from flow_kernel.session.checkpoints.opening import open_checkpoints
        from flow_kernel.shell.taps.surroundings import surroundings

        around = surroundings(self._shell)
        place = self._place
        return open_checkpoints(
            self.home,
            around,
            env=os.environ,
            session=place["session"],
            place=self._place_now,
            seq=lambda: int(self._place["seq"]),
            now=utc_now_ms,
            note=self._note,
            closers=self._closers,
            emit=self._emit,
            on_capture=lambda: None,
            say=self._say,
            # Nobody tells it of cells, so everything may have changed since the last one.
            is_under_way=lambda: True,
            budget_bytes=place["budget_bytes"],
            owner=place["session"][:16] + _OWNER,
            is_alone=False,
        )

    def _note(self, kind: str, fields: Mapping[str, object]) -> None:
        self._news["notes"].append([kind, dict(fields)])

    def _emit(self, name: str, /, **fields: Scalar) -> None:
        self._news["events"].append([name, fields])

    def _say(self, text: str) -> None:
        self._news["says"].append(text)

    def _place_now(self) -> Place:
        said = self._place
        return Place(said["plan_id"], said["task_id"], said["trace_id"], said["step"])


def _take(checkpoints: "Checkpoints", wish: Wish) -> None:
    from flow_kernel.session.checkpoints.taking import waited_for  # with the rest

    waited_for(
        checkpoints.begin(
            wish.name, reason=wish.reason, tag=wish.tag, only_if_changed=wish.only_if_changed
        )
    )


def _no_news() -> dict[str, list[Any]]:
    return {"notes": [], "events": [], "says": []}
