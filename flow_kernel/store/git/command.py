"""Runs the git program, for one repository, with a deadline and without side effects of its own.

Called by `store.git.snapshots` and `store.git.find`.

Hooks, fsmonitor, automatic gc, signing, prompts and lazy fetches are off: they would run programs
of the user, talk to the network or take a minute.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError

_OFF: Final = (
    "-c core.hooksPath=/dev/null",
    "-c core.fsmonitor=false",
    "-c core.untrackedCache=false",
    "-c core.splitIndex=false",
    "-c core.quotePath=false",
    "-c core.logAllRefUpdates=false",
    "-c gc.auto=0",
    "-c maintenance.auto=false",
    "-c commit.gpgSign=false",
    "-c tag.gpgSign=false",
)
_OPTIONS: Final = tuple(word for option in _OFF for word in option.split(" ", 1))
# What a hook or an outer git hands down about its own work, not about ours.
_NOT_OURS: Final = frozenset(
    [
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_QUARANTINE_PATH",
        "GIT_PREFIX",
        "GIT_NAMESPACE",
        "GIT_LITERAL_PATHSPECS",
        "GIT_GLOB_PATHSPECS",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
        "GIT_EXTERNAL_DIFF",
        "GIT_TRACE",
        "GIT_TRACE2",
        "GIT_TRACE2_EVENT",
    ]
)
_AUTHOR: Final = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "flow_kernel"), ("EMAIL", "flow_kernel@localhost"))
}
_SAID_CHARS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """The git program in one working tree.

    Attributes:
        top: Where it runs.
        env: The environment it starts with.
        own: What it shall find there in place of the user's repository: GIT_DIR and the like.
        deadline_s: When (time.monotonic) whatever runs is killed; None for never.
    """

    top: Path
    env: Mapping[str, str]
    own: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float | None = None

    def until(self, timeout_s: float) -> "Git":
        """The same, to be done `timeout_s` from now."""
        return replace(self, deadline_s=time.monotonic() + timeout_s)

    def run(
        self, *arguments: str, stdin: bytes = b"", ok: Sequence[int] = (0,)
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a git command.

        Args:
            arguments: After `git`.
            stdin: What it reads.
            ok: Exit codes that are answers, not failures.

        Raises:
            StoreError: It is not installed, failed, or was not done in time.
        """
        left_s = None if self.deadline_s is None else self.deadline_s - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise _too_slow(arguments[0])
        try:
            child = subprocess.Popen(  # noqa: S603 - no shell reads it
                ["git", *_OPTIONS, *arguments],  # noqa: S607 - the user's git, by PATH
                cwd=self.top,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the cell, and filters die with git
            )
        except OSError as error:
            raise StoreError(f"git cannot be run: {error.strerror or error}") from None
        try:
            out, err = child.communicate(stdin, timeout=left_s)
        except subprocess.TimeoutExpired:
            raise _too_slow(arguments[0]) from None
        finally:
            _end(child)
        if child.returncode not in ok:
            raise StoreError(f"git {arguments[0]} failed: {_said(err) or child.returncode}")
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def line(self, *arguments: str, stdin: bytes = b"") -> str:
        """The one line that a command answers with; see `run`."""
        return os.fsdecode(self.run(*arguments, stdin=stdin).stdout).removesuffix("\n")

    def _environment(self) -> dict[str, str]:
        env = {key: value for key, value in self.env.items() if key not in _NOT_OURS}
        return env | {
            **self.own,
            **_AUTHOR,
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_PAGER": "cat",
            "LC_ALL": "C",
        }


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Nothing that git started goes on without it."""
    if child.poll() is None:
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(child.pid, signal.SIGKILL)
            else:
                child.kill()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    child.wait()


def _said(err: bytes) -> str:
    lines = [line for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return "; ".join(told)[:_SAID_CHARS]


def _too_slow(command: str) -> StoreError:
    return StoreError(
        f"git {command} was not done in time; nothing was changed",
        hint="large or many new files? name them in .gitignore",
    )
