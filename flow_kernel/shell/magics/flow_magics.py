"""The `%flow` magic: the session's log, status and history of a name, inside the notebook.

Called by IPython; each answer prints as text, shows as HTML and is a Python value.
"""

import argparse
import shlex
from collections.abc import Callable
from typing import Any, Final, NoReturn

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import Magics, line_magic, magics_class

from flow_kernel.errors import FlowError, UsageError
from flow_kernel.records.home import network_file_system
from flow_kernel.session.ambient import current_session
from flow_kernel.session.session import Session
from flow_kernel.shell.views.display import CellTable, Facts, TouchTable

_VERBS: Final = {
    "status": "where this session records, and how it goes",
    "log": "the cells of this session",
    "why": "which cells set, changed or mutated a name, newest first",
    "report": "what was planned and done, as HTML, Markdown or JSON",
    "panel": "the timeline of the task, live, with buttons",
    "pause": "stop recording after this cell",
    "resume": "record again from the next cell on",
}


_OF_REPORT: Final = ("--task", "--plan", "--html", "--md", "--json")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint="try: %flow?")


def _parser() -> _Parser:
    parser = _Parser(prog="%flow", add_help=False)
    verbs = parser.add_subparsers(dest="verb", parser_class=_Parser)
    for verb, text in _VERBS.items():
        sub = verbs.add_parser(verb, help=text, add_help=False)
        if verb == "log":
            sub.add_argument("--failed", action="store_true")
            sub.add_argument("--limit", type=int, default=50, metavar="N")
        elif verb == "why":
            sub.add_argument("name")
        elif verb == "report":
            for option in _OF_REPORT:
                sub.add_argument(option)
    return parser


@magics_class
class FlowMagics(Magics):  # type: ignore[misc]  # IPython's base has no types here
    """Magics of flow_kernel."""

    panels: Any = None
    """What shows the panel; given when a session is opened for the shell."""

    def _panel(self, session: Session) -> object:
        if self.panels is None:
            raise UsageError("there is no panel here")
        return self.panels.show(session)

    @line_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    def flow(self, line: str) -> object:
        """Look at the flight recorder of this session.

        ::

          %flow                        the same as %flow status
          %flow status                 where this session records, and how it goes
          %flow log [--failed] [--limit N]    its cells: what ran, how long, what changed
          %flow why NAME               which cells set, changed or mutated NAME, newest first
          %flow report [--task ID|--plan P] [--html F] [--md F] [--json F]
                                       what was planned and done: on the screen, or as files
          %flow panel                  the timeline of the task, live, with buttons
          %flow pause                  stop recording after this cell
          %flow resume                 record again from the next cell on; the log notes the gap

        Each answer is also a Python value: ``cells = %flow log`` then ``cells[-1]["elapsed_ms"]``.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise IPythonUsageError(f"%flow: {error}") from None
        try:
            options = _parser().parse_args(words or ["status"])
            session = current_session()
            with session.recorder.own_imports():
                if options.verb == "panel":
                    return self._panel(session)
                return _ANSWERS[options.verb](session, options)
        except FlowError as error:
            raise IPythonUsageError(f"%flow: {error}") from None


def _status(session: Session, _: argparse.Namespace) -> Facts:
    place = session.where.now
    recorder = session.recorder
    state = "paused" if recorder.is_paused else "on"
    if session.journal.is_memory_only:
        state = "in memory only, the disk refuses"
    rows: dict[str, object] = {
        "recording": state,
        "log": str(session.home.log_path(place.plan_id, place.task_id)),
        "task": f"{place.plan_id}/{place.task_id}",
        "session": session.identity.session,
        "records": session.journal.last_seq,
    }
    network = network_file_system(session.home.root)
    if network:
        rows["file system"] = f"{network} (network): one log file a session"
    return Facts("Flow", rows | _others(session))


def _others(session: Session) -> dict[str, object]:
    """Other sessions of the home that a cell holds."""
    own = f"{session.identity.session}.lease"
    if all(path.name == own for path in session.home.run_dir.glob("*.lease")):
        return {}
    from flow_kernel.session.held import KernelLooks  # what reads logs; few kernels have neighbours
    from flow_kernel.session.held_text import summary_of  # with it

    looks = KernelLooks(session.home, without=session.identity.session)
    held = [view for view in looks.views() if view.is_held]
    return {f"session {view.session[:8]}": summary_of(view) for view in held}


def _log(session: Session, options: argparse.Namespace) -> CellTable:
    if options.limit < 1:
        raise UsageError("--limit takes a number from 1 on")
    cells = session.history.cells()
    if options.failed:
        cells = [cell for cell in cells if cell.get("success") is False]
    return CellTable(cells[-options.limit :])


def _why(session: Session, options: argparse.Namespace) -> TouchTable:
    return TouchTable(options.name, session.history.why(options.name))


def _report(session: Session, options: argparse.Namespace) -> object:
    from flow_kernel.shell.magics.report_answer import (
        report,  # 10 ms that a starting kernel need not pay
    )

    return report(session, options)


def _pause(session: Session, _: argparse.Namespace) -> Facts:
    session.recorder.pause()
    return Facts("Flow", {"recording": "paused from the next cell on"})


def _resume(session: Session, _: argparse.Namespace) -> Facts:
    session.recorder.resume()
    return Facts("Flow", {"recording": "on from the next cell on"})


_ANSWERS: Final[dict[str, Callable[[Session, argparse.Namespace], object]]] = {
    "status": _status,
    "log": _log,
    "why": _why,
    "report": _report,
    "pause": _pause,
    "resume": _resume,
}


def complete(shell: Any, event: Any) -> list[str]:
    """What may follow on the line of `event`."""
    words = event.line.split()
    if len(words) < 2 or (len(words) == 2 and not event.line.endswith(" ")):
        return list(_VERBS)
    if words[1] == "log":
        return ["--failed", "--limit"]
    if words[1] == "report":
        return list(_OF_REPORT)
    if words[1] == "why":
        return [name for name in shell.user_ns if not name.startswith("_")]
    return []
