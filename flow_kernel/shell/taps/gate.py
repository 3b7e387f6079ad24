"""Holds up a cell that needs an answer, or whose client knows too little, before any of it runs.

Called by `shell.attach` at the beginning and the end of each cell.

It stands among the transformers of syntax trees, which IPython asks last before it runs a cell, and
which may reject one. So it sees what is really about to run, a refused cell is one in every other
respect (its number, its record, its error), and a session whose policy is `auto` pays nothing: it
stands there only where a cell has to be looked at.

Cells that a cell runs (`%run`, `run_cell`, the body of a magic) are part of it: they are asked
about once, with the cell as it stands. A hidden request that is risky is refused, because nobody
can be asked about it.
"""

import ast
import threading
from collections.abc import Callable
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from IPython.core.error import InputRejected

from flow_kernel import errors
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session import policy as policies
from flow_kernel.session.session import Session
from flow_kernel.shell.channels.request_marks import (
    has_expectation,
    once_of,
    staleness_of,
)

globals()["__builtins__"] = FROZEN_BUILTINS

_get_ident: Final = threading.get_ident
_MOST_ONCE: Final = 100_000


class ApprovalPending(errors.ApprovalPending, InputRejected):  # type: ignore[misc]  # no types there
    """Parked before the cell ran."""


class ApprovalRejected(errors.ApprovalRejected, InputRejected):  # type: ignore[misc]  # no types there
    """Refused before the cell ran."""


class StaleRevision(errors.StaleRevision, InputRejected):  # type: ignore[misc]  # no types there
    """The session is not as the client of the cell knows it."""


class RepeatedRequest(errors.RepeatedRequest, InputRejected):  # type: ignore[misc]  # no types there
    """A cell of that name has run before."""


class Interrupted(InputRejected):  # type: ignore[misc]  # no types there
    """Interrupted before it began: IPython lets only this kind end a cell here."""


# Clients, and the record of the cell, know it by this name.
Interrupted.__name__ = Interrupted.__qualname__ = "KeyboardInterrupt"


class Gate:
    """The policy of one session at work in `shell`.

    Args:
        shell: IPython's.
        session: Whose questions are asked.
    """

    def __init__(self, shell: Any, session: Session) -> None:
        self._shell = shell
        self._session = session
        self._policy = session.settings.approve
        self._cells: dict[int, _Cell] = {}
        self._is_blind = False
        self._once: dict[str, None] = {}

    def open(self) -> None:
        """Look at each cell from now on, where the policy of the session wants that."""
        if self._policy != "auto":
            self._install()

    def close(self) -> None:
        """Look at none any more."""
        self._remove()

    def go_blind(self) -> None:
        """Nobody tells any more when cells begin and end: refuse what had to be asked about."""
        self._is_blind = True
        self._cells.clear()  # the one that runs has been judged, and no later one
        if self._policy == "auto":
            self._remove()

    def begin(self, info: Any, msg_id: str | None, *, is_nested: bool) -> None:
        """A cell begins.

        Args:
            info: IPython's.
            msg_id: Of its request; None outside a kernel.
            is_nested: True for a part of another cell.
        """
        if is_nested:
            return
        asked = policies.tightest(self._policy, policies.of_metadata(info.cell_meta))
        stale: InputRejected | None
        if msg_id is not None and not self._session.withdrawn.begin(msg_id):
            stale = Interrupted("cancelled before it began; nothing of it ran")
        else:
            stale = self._stale(info.cell_meta) or self._repeated(info.cell_meta)
        if asked != "auto" or stale is not None:
            self._cells[_get_ident()] = _Cell(
                info.raw_cell, asked, is_hidden=not info.store_history, stale=stale
            )
            self._install()

    def end(self) -> None:
        """The outermost cell of this thread has ended."""
        was_looked_at = self._cells.pop(_get_ident(), None) is not None
        if was_looked_at and self._policy == "auto" and not self._cells:
            self._remove()

    def visit(self, tree: ast.AST) -> ast.AST:
        """Let `tree` pass, or raise what rejects it; called by IPython."""
        if not isinstance(tree, ast.Module):
            return tree
        cell = self._cells.get(_get_ident())
        if cell is None:
            if self._policy == "auto":
                return tree
            cell = _Cell("", self._policy, is_hidden=True)
        elif cell.is_judged:
            return tree
        cell.is_judged = True
        if cell.stale is not None:
            raise cell.stale
        if cell.policy == "auto":
            return tree
        try:
            self._judge(cell, tree)
        except InputRejected:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted("while the question was open") from None
            raise ApprovalRejected(
                f"the policy {cell.policy} could not be applied ({error}); the cell did not run",
                approval_id="",
            ) from error
        return tree

    def _stale(self, metadata: Any) -> StaleRevision | None:
        """Why the cell does not run; its own record is not written yet."""
        if not has_expectation(metadata):
            return None
        recorder = self._session.recorder
        rev = recorder.rev()
        why = staleness_of(metadata, cells_seq=recorder.cells_seq, last_seq=rev)
        if not why:
            return None
        return StaleRevision(
            f"{why}; the cell did not run",
            rev=rev,
            hint="look at what they did, then send it with the present rev",
        )

    def _repeated(self, metadata: Any) -> RepeatedRequest | None:
        """Why the cell does not run; else it is the one of its name."""
        name = once_of(metadata)
        if name in self._once:
            return RepeatedRequest("this request has run before; the cell did not run again")
        if name:
            self._once[name] = None
            if len(self._once) > _MOST_ONCE:
                del self._once[next(iter(self._once))]
        return None

    def _judge(self, cell: "_Cell", tree: ast.Module) -> None:
        # 10 ms that a session whose policy is `auto` need not pay.
        from flow_kernel.session.approval_parts import Wish
        from flow_kernel.session.approval_text import outcome_of, title_of
        from flow_kernel.session.risk import World, scan

        findings = scan(tree, World(resolve=self._resolver(), transform=self._transform))
        if self._is_blind:
            if policies.asks(cell.policy, findings):
                raise ApprovalRejected(
                    "recording has stopped, so nobody can be asked about a cell that"
                    f" {policies.reasons_of(findings) or 'runs'}; it did not run",
                    approval_id="",
                    hint="restart the kernel",
                )
            return
        if cell.is_hidden:
            if findings:
                raise ApprovalRejected(
                    f"a hidden request that {policies.reasons_of(findings)} is refused, because"
                    " nobody can be asked about it; it did not run",
                    approval_id="",
                    hint="run it as a cell",
                )
            return
        if not policies.asks(cell.policy, findings):
            return
        wish = Wish(message=policies.message_of(findings), source=cell.source, ordinal=0)
        try:
            row = self._session.approvals.request(wish)
        except errors.ApprovalPending as pending:
            raise ApprovalPending(
                pending.message, approval_id=pending.approval_id, hint=pending.hint
            ) from None
        if row.status != "approved":
            raise ApprovalRejected(
                f"{title_of(row)} - {outcome_of(row)}; the cell did not run",
                approval_id=row.approval_id,
            )

    def _resolver(self) -> Callable[[str], str | None]:
        namespace = self._shell.user_ns

        def resolve(name: str) -> str | None:
            value = namespace.get(name)
            if type(value) is ModuleType:
                module = vars(value).get("__name__")
                return module if type(module) is str else ""
            if type(value) is FunctionType or type(value) is BuiltinFunctionType:
                return _dotted(value.__module__, value.__qualname__)
            if type(value) is type:  # of another metaclass, this would run code of the user's
                return _dotted(value.__module__, value.__qualname__)
            return "" if name in namespace else None

        return resolve

    def _transform(self, source: str) -> str:
        return str(self._shell.input_transformer_manager.transform_cell(source))

    def _install(self) -> None:
        if self not in self._shell.ast_transformers:
            # Before the cell begins: what is imported in it would be told as its own.
            import_module("flow_kernel.session.risk")
            self._shell.ast_transformers.append(self)

    def _remove(self) -> None:
        if self in self._shell.ast_transformers:
            self._shell.ast_transformers.remove(self)


class _Cell:
    """A cell that has to be looked at."""

    __slots__ = ("is_hidden", "is_judged", "policy", "source", "stale")

    def __init__(
        self, source: str, policy: str, *, is_hidden: bool, stale: InputRejected | None = None
    ) -> None:
        self.source = source
        self.policy = policy
        self.is_hidden = is_hidden
        self.is_judged = False
        self.stale = stale


def _dotted(module: object, name: object) -> str:
    if type(module) is not str or type(name) is not str or module == "__main__":
        return ""
    return f"{'os' if module == 'posix' else module}.{name}"
