"""What `%approve` and `%%approve` answer: the question is read from the line, and asked.

Called by `shell.magics.approve_magics`, which loads it with the first question, and by
`shell.isolated.calls` for a cell in a worker.
"""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from IPython.core.error import UsageError as IPythonUsageError

from flow_kernel.errors import ApprovalPending, ApprovalRejected, FlowError, UsageError
from flow_kernel.session.ambient import current_session
from flow_kernel.session.approval_parts import Wish
from flow_kernel.session.approval_terms import ON_TIMEOUT, duration_s
from flow_kernel.session.approval_text import outcome_of, title_of
from flow_kernel.shell.views.approve_display import ApprovalCard
from flow_kernel.store.contract import ApprovalRow

_WITH_VALUE: Final = {"--timeout": "10m", "--on-timeout": "reject", "--remind": "2m"}
_FLAGS: Final = {"--park": True, "--wait": False}
_STOP: Final = "--stop"
_OPTION: Final = re.compile(r"(--[a-z][a-z-]*)(?:=(.*))?\Z", re.DOTALL)


def ask(
    line: str, cell: str | None, *, is_wanted: Callable[[], bool] | None = None
) -> ApprovalCard:
    """What `%approve` and `%%approve` do before a body runs, here or in a worker.

    Args:
        line: Behind the magic.
        cell: The body; None without one.
        is_wanted: False once nobody waits for the answer any more; None for always.

    Returns:
        The answer. A body runs where it is true; else it was skipped.

    Raises:
        ApprovalPending: It is parked.
        ApprovalRejected: It was not yes, and that ends the cell.
        IPythonUsageError: The line cannot be used, or the store; nothing was asked.
    """
    try:
        wish, stops = _wish(line, cell)
        if is_wanted is not None:
            wish = replace(wish, is_wanted=is_wanted)
        session = current_session()
        with session.recorder.own_imports():
            row = session.approvals.request(wish)
    except (ApprovalPending, ApprovalRejected):
        raise  # they end the cell with one sentence of their own
    except FlowError as error:
        magic = "%approve" if cell is None else "%%approve"
        raise IPythonUsageError(f"{magic}: {error}") from None
    card = ApprovalCard(row)
    if stops and not card:
        raise _rejected(row, "the cell ends here")
    if cell is not None and not card and row.status != "skipped":
        raise _rejected(row, "the cell did not run")
    return card


def _rejected(row: ApprovalRow, therefore: str) -> ApprovalRejected:
    return ApprovalRejected(
        f"{title_of(row)} - {outcome_of(row)}; {therefore}", approval_id=row.approval_id
    )


def _wish(line: str, body: str | None) -> tuple[Wish, bool]:
    """What is asked, and whether every answer but yes ends the cell."""
    words, options = [], dict[str, str | bool]()
    todo = iter(_words(line))
    for word in todo:
        match = _OPTION.match(word)
        if match is None:
            words.append(word)
            continue
        name, value = match.groups()
        if name in (*_FLAGS, _STOP) and value is None:
            options[name] = True
        elif name in _WITH_VALUE:
            value = next(todo, None) if value is None else value
            if not value:
                raise UsageError(f"{name} takes a value", hint=f"e.g. {name} {_WITH_VALUE[name]}")
            options[name] = value
        else:
            raise UsageError(f"there is no option {word[:40]}", hint="quote it to ask about it")
    parks = [_FLAGS[name] for name in options if name in _FLAGS]
    if len(parks) > 1:
        raise UsageError("--park and --wait exclude one another")
    timeout, remind = options.get("--timeout"), options.get("--remind")
    wish = Wish(
        message=" ".join(words),
        timeout_s=None if timeout is None else duration_s(str(timeout)),
        on_timeout=str(options.get("--on-timeout", "reject")),
        park=parks[0] if parks else None,
        source=body,
        remind_s=None if remind is None else duration_s(str(remind)),
    )
    return wish, _STOP in options


def _words(line: str) -> list[str]:
    """The words of a line; quotes hold words together, an apostrophe alone is a character."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def complete(line: str) -> list[str]:
    """What may follow on `line`."""
    words = line.split()
    if "--on-timeout" in (words[-1], words[-2] if not line.endswith(" ") else ""):
        return list(ON_TIMEOUT)
    return [*_WITH_VALUE, *_FLAGS, _STOP]
