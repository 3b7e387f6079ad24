"""Ties the tools to the protocol, as the official SDK speaks it.

Called by `verb`. Both eras of the protocol are served: the handshake up to 2025-11-25, where the
server asks the person in the middle of a call, and 2026-07-28, where it answers that it needs input
and the client calls again.
"""

import asyncio
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import anyio
import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from flow_kernel._version import __version__
from flow_kernel.apps.mcp.arguments import checked
from flow_kernel.apps.mcp.calls import Caller
from flow_kernel.apps.mcp.cell_run import CellRun
from flow_kernel.apps.mcp.cells import Cells
from flow_kernel.apps.mcp.elicited import question_of
from flow_kernel.apps.mcp.kernels import Kernels
from flow_kernel.apps.mcp.link import KernelLink
from flow_kernel.apps.mcp.questions import SCHEMA, Questions
from flow_kernel.apps.mcp.reading import Reading
from flow_kernel.apps.mcp.resources import Resources
from flow_kernel.apps.mcp.shaping import Answer, text_of
from flow_kernel.apps.mcp.tools import INSTRUCTIONS, TOOLS, schema_of
from flow_kernel.apps.mcp.unreadable import Answered
from flow_kernel.apps.mcp.working import Working
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import FlowError, NotFound, UsageError
from flow_kernel.records.plain import one_line

_NAME: Final = "flow"
_MODERN: Final = "2026-07-28"
_ASKED: Final = "decision"
_CANCELLED: Final = "notifications/cancelled"
_NAME_CHARS: Final = 40
_DIALOG_S: Final = 600.0
"""So long a dialog of the client holds up its call; the question stays open elsewhere."""
_MOST_CALLS: Final = 1000
_FAREWELL_S: Final = 1.5
"""So long a client that has closed stdin may take to read what was left to say; after two seconds
that of the SDK would kill us, and our kernel would have to find out by itself."""
_Context = ServerRequestContext[Any, Any]
_Result = types.CallToolResult | types.InputRequiredResult
_Tool = Callable[[Mapping[str, Any], Caller], Awaitable[Answer]]


def serve(kernels: Kernels, terminal: Terminal) -> None:
    """Serve one client over stdin and stdout until it closes them."""
    logging.getLogger("mcp").setLevel(logging.ERROR)
    serving = _Serving(kernels, terminal)
    with suppress(KeyboardInterrupt):
        anyio.run(serving.run)
    serving.farewell.cancel()


class _Serving:
    """One server and its client.

    Attributes:
        farewell: Ends the process where its client reads nothing, once stdin is closed: the thread
            that writes to a full pipe cannot be stopped.
    """

    def __init__(self, kernels: Kernels, terminal: Terminal) -> None:
        self._kernels = kernels
        self.farewell: threading.Timer = threading.Timer(_FAREWELL_S, self._leave)
        self.farewell.daemon = True
        self._cells = Cells(kernels)
        self._questions = Questions(kernels)
        self._working = Working(kernels, self._cells)
        self._resources = Resources(kernels, self._cells, terminal)
        reading = Reading(kernels, self._cells, self._questions)
        self._tools: dict[str, _Tool] = {
            "run_cell": self._working.run_cell,
            "run_status": reading.run_status,
            "task": self._working.task,
            "checkpoint": self._working.checkpoint,
            "rollback": self._working.rollback,
            "get_history": reading.get_history,
            "get_variable": reading.get_variable,
            "run_workflow": self._working.run_workflow,
            "kernel": reading.kernel,
        }
        self._started: OrderedDict[str, tuple[CellRun, KernelLink]] = OrderedDict()
        self._server: Server[Any] = Server(
            _NAME,
            version=__version__,
            title="Flow kernel",
            instructions=INSTRUCTIONS,
            get_tool_input_schema=lambda name: schema_of(TOOLS[name]) if name in TOOLS else None,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
        )
        # What the client hands back between two rounds of one call is sealed.
        boundary = RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=_NAME)
        self._server.middleware.append(boundary)
        self._server.middleware.append(self._cancelled)

    async def run(self) -> None:
        """Serve until the client has closed stdin."""
        # The kernel comes up while the client says hello.
        opening = asyncio.create_task(self._open())
        try:
            async with stdio_server() as (read, write):
                options = self._server.create_initialization_options()
                readable: Any = Answered(read, write, on_end=self.farewell.start)
                await self._server.run(readable, write, options)
        finally:
            with anyio.CancelScope(shield=True):
                opening.cancel()
                self._kernels.give_up()
                await asyncio.gather(opening, return_exceptions=True)
                self._cells.close()
                self._working.close()
                await self._kernels.close_link()

    def _leave(self) -> None:
        self._kernels.close()
        os._exit(1)

    async def _open(self) -> None:
        with suppress(FlowError):  # the first call says it
            await self._kernels.link()

    # -- tools -------------------------------------------------------------------------------------

    async def _list_tools(self, _ctx: _Context, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=definitions())

    async def _call_tool(self, ctx: _Context, params: types.CallToolRequestParams) -> _Result:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name[:60]!r}")
        caller = self._caller(ctx)
        try:
            given = checked(tool, params.arguments)
            if params.name == "request_approval":
                return await self._ask(ctx, params, given, caller)
            return _result(await self._tools[params.name](given, caller))
        except FlowError as error:
            return _failure(error)

    def _caller(self, ctx: _Context) -> Caller:
        async def progress(elapsed_s: float, message: str) -> None:
            await ctx.session.report_progress(elapsed_s, None, one_line(message, 200))

        def started(run: CellRun, link: KernelLink) -> None:
            self._started[str(ctx.request_id)] = (run, link)
            while len(self._started) > _MOST_CALLS:
                self._started.popitem(last=False)

        return Caller(actor=_actor_of(ctx), progress=progress, started=started)

    async def _cancelled(self, ctx: _Context, call_next: CallNext) -> HandlerResult:
        """A client that gives up a call means the cell, too; one that vanishes does not."""
        if ctx.method == _CANCELLED:
            known = self._started.pop(str((ctx.params or {}).get("requestId")), None)
            if known is not None and not known[0].has_ended:
                run, link = known
                await link.cancel(run)
        return await call_next(ctx)

    # -- questions ---------------------------------------------------------------------------------

    async def _ask(
        self,
        ctx: _Context,
        params: types.CallToolRequestParams,
        given: Mapping[str, Any],
        caller: Caller,
    ) -> _Result:
        wait_s = given.get("wait_s", 0.0)
        if not _can_elicit(ctx) or not await self._questions.takes_answers():
            return _result(await self._questions.answered(given, wait_s, caller))
        if params.request_state is not None:
            await self._take(params, caller)
            return _result(await self._questions.answered(given, wait_s, caller))
        row = await self._questions.ask(given, caller)
        if row["status"] != "open":
            return _result(await self._questions.answered(given, wait_s, caller))
        if (shown := question_of(row)) is None:
            note = "code and payload are too long to be shown through this client"
            return _result({**await self._questions.answered(given, wait_s, caller), "note": note})
        question = types.ElicitRequestFormParams(message=shown, requested_schema=SCHEMA)
        if ctx.protocol_version >= _MODERN:
            return types.InputRequiredResult(
                input_requests={_ASKED: types.ElicitRequest(params=question)},
                request_state=str(row["approval_id"]),
            )
        await self._elicit(ctx, row, question, caller)
        return _result(await self._questions.answered(given, wait_s, caller))

    async def _elicit(
        self,
        ctx: _Context,
        row: Mapping[str, Any],
        question: types.ElicitRequestFormParams,
        caller: Caller,
    ) -> None:
        """Ask through the client, unless somebody answers elsewhere first."""
        asking = asyncio.create_task(
            ctx.session.elicit_form(
                question.message, question.requested_schema, related_request_id=ctx.request_id
            )
        )
        elsewhere = asyncio.create_task(
            self._questions.wait(str(row["approval_id"]), _DIALOG_S, caller)
        )
        try:
            await asyncio.wait({asking, elsewhere}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done() and asking.exception() is None:
                answer = asking.result()
                if answer.action == "accept":
                    await self._questions.pass_on(row, answer.content, caller)
        finally:
            asking.cancel()
            elsewhere.cancel()
            await asyncio.gather(asking, elsewhere, return_exceptions=True)

    async def _take(self, params: types.CallToolRequestParams, caller: Caller) -> None:
        """The second round: what the person before the client has answered."""
        answer = (params.input_responses or {}).get(_ASKED)
        if isinstance(answer, types.ElicitResult) and answer.action == "accept":
            row = {"approval_id": params.request_state}
            await self._questions.pass_on(row, answer.content, caller)

    # -- resources ---------------------------------------------------------------------------------

    async def _list_resources(self, _ctx: _Context, _params: object) -> types.ListResourcesResult:
        timeline = types.Resource(
            uri="flow://session/timeline", name="timeline", mime_type="text/plain"
        )
        return types.ListResourcesResult(resources=[timeline])

    async def _list_templates(
        self, _ctx: _Context, _params: object
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(uri_template=uri, name=name, description=about)
                for name, uri, about in self._resources.templates
            ]
        )

    async def _read_resource(
        self, ctx: _Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(params.uri)
        try:
            text = await self._resources.read(uri, self._caller(ctx))
        except (NotFound, UsageError) as error:
            raise MCPError(types.INVALID_PARAMS, str(error), {"uri": uri[:200]}) from None
        except FlowError as error:
            raise MCPError(types.INTERNAL_ERROR, str(error), {"uri": uri[:200]}) from None
        content = types.TextResourceContents(uri=uri, text=text, mime_type="text/plain")
        return types.ReadResourceResult(contents=[content])


def definitions() -> list[types.Tool]:
    """The tools as they are listed."""
    return [
        types.Tool(
            name=name,
            description=tool.about,
            input_schema=schema_of(tool),
            annotations=types.ToolAnnotations(
                read_only_hint=tool.reads,
                destructive_hint=tool.destroys,
                idempotent_hint=tool.is_idempotent,
                open_world_hint=False,
            ),
        )
        for name, tool in TOOLS.items()
    ]


def _result(answer: Answer) -> types.CallToolResult:
    content: list[types.ContentBlock] = [types.TextContent(type="text", text=text_of(answer))]
    for key in ("more", "more_stderr", "more_result"):
        more = answer.get(key)
        if isinstance(more, Mapping):
            uri = str(more["uri"])
            name = uri.rpartition("/")[2]
            content.append(types.ResourceLink(type="resource_link", uri=uri, name=name))
    return types.CallToolResult(content=content, is_error=answer.get("ok") is False)


def _failure(error: FlowError) -> types.CallToolResult:
    told = {"type": type(error).__name__, "msg": error.message, "hint": error.hint}
    text = text_of({"ok": False, "err": {key: value for key, value in told.items() if value}})
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


def _can_elicit(ctx: _Context) -> bool:
    capabilities = ctx.session.client_capabilities
    elicitation = None if capabilities is None else capabilities.elicitation
    if elicitation is None:
        return False
    # An empty capability means forms, as it did before there was another kind.
    return elicitation.form is not None or elicitation.url is None


def _actor_of(ctx: _Context) -> str:
    params = ctx.session.client_params
    name = one_line(params.client_info.name, _NAME_CHARS) if params is not None else ""
    return f"mcp:{name or 'client'}"
