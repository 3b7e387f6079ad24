"""Requests that are no cells, answered by the worker in which every cell of a session runs.

Called by `shell.kernel` for completions, for what a name is, and for expressions after a cell.
"""

import asyncio
from typing import Any, Final

from flow_kernel.errors import FlowError
from flow_kernel.session.isolation.service import DEFAULT_WORKER
from flow_kernel.session.session import Session

_PATIENCE_S: Final = 2.0


async def ask_worker(session: Session, kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """The worker's reply; None where it has none: not begun yet, busy, or slow.

    Args:
        session: Whose.
        kind: Of the request.
        content: Of the request.
    """
    isolation = session.find_isolation()
    if isolation is None or not isolation.pool.has(DEFAULT_WORKER):
        return None
    try:
        worker = isolation.pool.find(DEFAULT_WORKER)
    except FlowError:  # it has died meanwhile
        return None
    if not worker.is_ready:
        return None
    try:
        reply = await asyncio.wait_for(asyncio.wrap_future(worker.ask(kind, content)), _PATIENCE_S)
    except TimeoutError:
        return None
    return reply if reply.get("status") == "ok" else None


async def expressions_of(session: Session, expressions: dict[str, str]) -> dict[str, Any]:
    """The values of the expressions of a request in the worker, in the form of its reply.

    Args:
        session: Whose.
        expressions: By the names that the client gives them.
    """
    content = {
        "code": "",
        "silent": True,
        "store_history": False,
        "user_expressions": expressions,
        "allow_stdin": False,
        "stop_on_error": False,
    }
    reply = await ask_worker(session, "execute_request", content)
    found = None if reply is None else reply.get("user_expressions")
    if isinstance(found, dict):
        return found
    why = "no worker has answered; the expression was not evaluated in the session"
    error = {"status": "error", "ename": "IsolationUnavailable", "evalue": why, "traceback": [why]}
    return dict.fromkeys(expressions, error)
