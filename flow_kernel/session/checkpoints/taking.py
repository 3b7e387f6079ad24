"""A checkpoint on its way to the disk, while the session goes on.

Made by `service`; held by users through `session.checkpoint()`.
"""

import _thread
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flow_kernel.errors import StoreError
from flow_kernel.records import waits
from flow_kernel.session.ambient import current_session
from flow_kernel.session.checkpoints.checkpoint import Checkpoint


class Taking:
    """One checkpoint, from its moment on; it is what it was then, whatever is done meanwhile.

    Attributes of the checkpoint can be read from here as well; those that are not known yet wait
    for it.

    Args:
        checkpoint_id: Known from the first moment.
        name: Likewise.
        finish: Brings it to the disk; told whom to tell that the files have been read.
        give_up: Ends what `finish` waits for.
        on_end: Told what it has come to, before anybody else.
        taken_over: Names that are there, and as they were at the last capture.
    """

    def __init__(
        self,
        checkpoint_id: str,
        name: str,
        finish: Callable[[Callable[[], None]], Checkpoint],
        give_up: Callable[[], None],
        *,
        on_end: Callable[[Checkpoint | None, BaseException | None], None] = lambda *_: None,
        taken_over: frozenset[str] = frozenset(),
    ) -> None:
        self.checkpoint_id: str = checkpoint_id
        self.name: str = name
        self.taken_over: frozenset[str] = taken_over
        self._finish = finish
        self._on_end = on_end
        self._give_up = give_up
        self._after_s = 0.0
        self._is_wanted = threading.Event()
        self._done = threading.Event()
        self._has_files = threading.Event()
        self._result: Checkpoint | None = None
        self._error: BaseException | None = None
        self._after: list[Callable[[Taking], None]] = []
        self._lock = threading.Lock()

    def start(self, *, after_s: float = 0.0) -> "Taking":
        """Bring it to the disk in a thread.

        Args:
            after_s: How long the thread lets the cell come to its end first; whoever waits for the
                checkpoint ends that.
        """
        self._after_s = after_s
        # Not by `threading`, which waits until it runs: milliseconds where the machine is busy.
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # there can be no more threads
            self._after_s = 0.0
            self._run()
        return self

    def run(self) -> "Taking":
        """Bring it to the disk now."""
        self._run()
        return self

    @property
    def is_done(self) -> bool:
        """True once it is on the disk, or will never be."""
        return self._done.is_set()

    @property
    def error(self) -> BaseException | None:
        """Why it did not come about; None while it may, and when it did."""
        return self._error

    def wait(self, timeout_s: float | None = None) -> Checkpoint:
        """The checkpoint, once it is on the disk.

        Args:
            timeout_s: How long to wait; None for as long as it takes.

        Raises:
            StoreError: The disk or git refused; session and files are as before.
            TimeoutError: It is not there yet.
        """
        self._is_wanted.set()
        if not waits.wait(self._done, timeout_s):
            raise TimeoutError(f"checkpoint {self.checkpoint_id} is still being written")
        if self._error is not None:
            raise self._error
        assert self._result is not None  # noqa: S101 - there is the one or the other
        return self._result

    def wait_for_end(self, timeout_s: float | None = None) -> None:
        """Wait until it is on the disk, or will never be.

        Args:
            timeout_s: How long; None for as long as it takes.
        """
        self._is_wanted.set()
        waits.wait(self._done, timeout_s)

    def wait_for_files(self, timeout_s: float | None = None) -> None:
        """Wait until the files have been read; they may be changed afterwards.

        Args:
            timeout_s: How long; None for as long as it takes.
        """
        self._is_wanted.set()
        waits.wait(self._has_files, timeout_s)

    def give_up(self) -> None:
        """It is not wanted any more; returns when nothing of it goes on."""
        self._is_wanted.set()
        self._give_up()
        waits.wait(self._done)

    def then(self, told: "Callable[[Taking], None]") -> None:
        """Tell somebody once it is done; at once when it is."""
        with self._lock:
            if not self._done.is_set():
                self._after.append(told)
                return
        told(self)

    def _run(self) -> None:
        if self._after_s:
            self._is_wanted.wait(self._after_s)
        try:
            self._result = self._finish(self._has_files.set)
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits for it
            self._error = error
        finally:
            if self._result is None and self._error is None:
                self._error = StoreError(f"checkpoint {self.checkpoint_id} was given up")
            with suppress(Exception):  # whoever waits is told in any case
                self._on_end(self._result, self._error)
            with self._lock:
                self._has_files.set()
                self._done.set()
            for told in self._after:
                with suppress(Exception):  # one that fails takes the word from no other
                    told(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.wait(), name)

    def __reduce__(self) -> tuple[Any, ...]:
        # As a variable it is kept as what it stands for.
        return found_again, (self.checkpoint_id, self.name)

    def __repr__(self) -> str:
        said = "being written" if not self.is_done else "failed" if self._error else "on disk"
        return f"<checkpoint {self.name} [{self.checkpoint_id}], {said}>"


def found_again(checkpoint_id: str, name: str) -> Taking:
    """A checkpoint of before, in a session that went back; named in what was saved."""

    def find(_: Callable[[], None]) -> Checkpoint:
        found: Checkpoint = current_session().checkpoints.shelf.find(checkpoint_id)
        return found

    return Taking(checkpoint_id, name, find, lambda: None).run()


def waited_for(taking: Taking) -> Checkpoint:
    """A checkpoint, once it is on the disk; whoever stops waiting gives it up."""
    try:
        return taking.wait()
    except BaseException:
        taking.give_up()
        raise
