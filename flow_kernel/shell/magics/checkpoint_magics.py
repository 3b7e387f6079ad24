"""The magics `%checkpoint` and `%rollback`: the time machine, from inside a notebook.

Called by IPython; each answer prints as text, shows as HTML and is a Python value.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import (
    Magics,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from flow_kernel.errors import FlowError
from flow_kernel.session.ambient import current_session
from flow_kernel.session.checkpoints.surroundings import FLAGS, VERBS
from flow_kernel.shell.magics.typed_names import TAKE_NAMES, expanded

_OPTIONS: Final = {"prune": ("--keep", "--yes")}
_EVALUATED: Final = re.compile(r"[{}$?!]|\A-")
"""What IPython would make something else of on a line, and what is an option."""


@magics_class
class CheckpointMagics(Magics):  # type: ignore[misc]  # IPython's base has no types here
    """Magics for checkpoints."""

    @line_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    @needs_local_scope  # type: ignore[untyped-decorator]  # nor these
    @no_var_expand  # type: ignore[untyped-decorator]  # nor these
    def checkpoint(self, line: str, local_ns: Mapping[str, object] | None = None) -> object:
        """Keep variables and files as they are now.

        ::

          %checkpoint [NAME] [--tag]   keep them; --tag gives the commit of the files a git tag;
                                       much is written while you go on: --wait waits for it
          %checkpoint list             all checkpoints of this project
          %checkpoint tree             the same as a picture: what came of what, and what changed
          %checkpoint show NAME        one of them: variables, files, what could not be kept
          %checkpoint diff A [B]       how two of them differ; without B: A and now
          %checkpoint verify [NAME]    look at every byte of one, or of all
          %checkpoint prune [--keep N] [--yes]
                                       delete all but the newest N of this project (default 50);
                                       without --yes it only says how many these are

        Names that share memory or objects are kept together and come back sharing them. What
        cannot be kept (generators, connections, locks) is listed with the reason. None of the
        verbs loads a saved value. Each answer is also a Python value: ``one = %checkpoint`` then
        ``one.checkpoint.variables``.
        """
        return self._answered("checkpoint", line, local_ns)

    @line_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    @needs_local_scope  # type: ignore[untyped-decorator]  # nor these
    @no_var_expand  # type: ignore[untyped-decorator]  # nor these
    def rollback(self, line: str, local_ns: Mapping[str, object] | None = None) -> object:
        """Make variables and files as they were at a checkpoint.

        ::

          %rollback NAME               go back to it
          %rollback -1                 to the newest one, -2 to the one before it
          %rollback NAME --dry-run     only say what would change
          %rollback NAME --state       variables alone; --files: files alone; --all: both
          %rollback NAME --trust       also when it is not signed with your key: what is in it is
                                       code of whoever made it, and this runs it

        A checkpoint of now is taken first, so that it can be undone. Only what differs is
        replaced; when a part is damaged, nothing is. For what a checkpoint could not hold it
        names the cells that make it again; it runs none of them.
        """
        return self._answered("rollback", line, local_ns)

    def _answered(self, magic: str, line: str, local_ns: Mapping[str, object] | None) -> object:
        session = current_session()
        with session.recorder.own_imports():  # what they load is no import of the cell
            from flow_kernel.shell.magics import (
                checkpoint_answers,  # with all that checkpoints need: 20 ms
            )
        try:
            names = checkpoint_answers.names_of
            line = expanded(magic, line, local_ns, shell=self.shell, names=lambda: names(session))
            words = shlex.split(line)
            if magic == "rollback":
                return checkpoint_answers.rollback(session, words)
            return checkpoint_answers.checkpoint(session, words)
        except (FlowError, ValueError) as error:
            raise IPythonUsageError(f"%{magic}: {error}") from None


def complete(_: Any, event: Any) -> list[str]:
    """What may follow on the line of `event`."""
    words = event.line.split()
    is_first = len(words) < 2 or (len(words) == 2 and not event.line.endswith(" "))
    if words[0].endswith("rollback"):
        return [*_names(), *FLAGS]
    if is_first:
        return [*VERBS, "--tag", "--wait", "--no-wait"]
    return _names() if words[1] in TAKE_NAMES else [*_OPTIONS.get(words[1], ())]


def _names() -> list[str]:
    """The names of all checkpoints, the newest first; the id of one whose name would not stay."""
    try:
        known = current_session().checkpoints.shelf.all()
    except FlowError:
        return []
    # A name may be a stranger's: what stands in braces would run.
    names = (
        one.checkpoint_id if _EVALUATED.search(one.name) else one.name for one in reversed(known)
    )
    return [shlex.quote(name) for name in dict.fromkeys(names)]
