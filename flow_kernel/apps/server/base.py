"""What all handlers of the dashboard have in common: who may ask, and how errors are told.

Built by Jupyter Server for each request, through the handlers beside this file.

Authentication, authorization and XSRF are those of Jupyter Server. One rule is stricter: a foreign
Origin is refused with a valid token, too, because no page of ours sends one.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import orjson
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado import web

from flow_kernel.apps.server.dashboard import Dashboard
from flow_kernel.apps.server.who import who_asks
from flow_kernel.errors import (
    FlowError,
    IllegalTransition,
    KernelGone,
    NotFound,
    StoreError,
    UntrustedCheckpoint,
    UsageError,
)

T = TypeVar("T")
RESOURCE: Final = "flow"
"""What an authorizer is asked about; the actions are read and write."""
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'"
)
_STATUSES: Final[tuple[tuple[type[FlowError], int], ...]] = (
    (UsageError, 400),
    (UntrustedCheckpoint, 403),
    (NotFound, 404),
    (IllegalTransition, 409),
    (KernelGone, 409),
    (StoreError, 503),
)
_MOST_BYTES: Final = 64 * 1024
_MOST_CHARS: Final = 4_000


class Guarded(JupyterHandler):
    """A handler that answers whom Jupyter Server lets in."""

    auth_resource = RESOURCE

    @property
    def dashboard(self) -> Dashboard:
        """Of this server."""
        found: Dashboard = self.settings["flow_dashboard"]
        return found

    @property
    def who(self) -> str:
        """Who asks, for the record."""
        provider = self.identity_provider
        return who_asks(
            self.current_user, provider, has_token=provider.is_token_authenticated(self)
        )

    async def in_thread(self, work: Callable[[], T]) -> T:
        """What `work` finds, in a thread of the dashboard."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.dashboard.answering, work)

    def skip_check_origin(self) -> bool:
        """Never, whatever the token."""
        return False

    def word(self, name: str, default: str = "", *, most: int = _MOST_CHARS) -> str:
        """An argument of the address.

        Raises:
            UsageError: It is too long, or holds a control character.
        """
        found = str(self.get_query_argument(name, default, strip=False))
        if len(found) > most or "\0" in found:
            raise UsageError(f"{name} is too long, or no text")
        return found

    def count(self, name: str, default: int, *, most: int) -> int:
        """An argument of the address that is a number from 1.

        Raises:
            UsageError: It is none.
        """
        found = self.word(name, str(default))
        if not (found.isascii() and found.isdigit() and len(found) < 10 and int(found) > 0):
            raise UsageError(f"{name} is a whole number from 1, not {found[:40]!r}")
        return min(int(found), most)


class Json(Guarded, APIHandler):
    """A handler that answers with one JSON document."""

    @property
    def content_security_policy(self) -> str:
        """A document is shown nowhere."""
        return "default-src 'none'; frame-ancestors 'none'; sandbox"

    async def reply(self, work: Callable[[], object]) -> None:
        """Answer with what `work` finds, which may read files: it runs in a thread."""
        try:
            found = await self.in_thread(work)
        except FlowError as error:
            self.refuse(error)
            return
        self.set_header("Cache-Control", "no-store")
        await self.finish(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS, default=str))

    def refuse(self, error: FlowError) -> None:
        """Tell of an error as the command line does."""
        self.set_status(status_of(error))
        facts = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
        self.finish(orjson.dumps({"error": facts}))

    def body(self) -> dict[str, Any]:
        """The document that was sent.

        Raises:
            UsageError: It is none.
        """
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json" or len(self.request.body) > _MOST_BYTES:
            raise UsageError("send a small JSON document, as application/json")
        try:
            found = orjson.loads(self.request.body)
        except orjson.JSONDecodeError:
            raise UsageError("the body is no JSON") from None
        if not isinstance(found, dict):
            raise UsageError("the body is no JSON object")
        return found


class Looking(Json):
    """Answers GET with what `look` finds."""

    def look(self, **where: str) -> object:
        """What is asked for; runs in a thread."""
        raise NotImplementedError

    @web.authenticated
    @authorized
    async def get(self, **where: str) -> None:
        """Answer."""
        await self.reply(lambda: self.look(**where))


class Doing(Json):
    """Answers POST with what `do` did."""

    def do(self, asked: dict[str, Any], **where: str) -> object:
        """Do it; runs in a thread."""
        raise NotImplementedError

    @web.authenticated
    @authorized
    async def post(self, **where: str) -> None:
        """Answer."""
        try:
            asked = self.body()
        except UsageError as error:
            self.refuse(error)
            return
        await self.reply(lambda: self.do(asked, **where))


def status_of(error: FlowError) -> int:
    """The HTTP status that tells of an error."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 422)


def text_of(asked: dict[str, Any], key: str, default: str | None = None) -> str:
    """A text in a document that was sent.

    Raises:
        UsageError: It is none, or too long.
    """
    found = asked.get(key, default)
    if type(found) is not str or len(found) > _MOST_CHARS:
        raise UsageError(f"{key} is a text of at most {_MOST_CHARS} characters")
    return found
