"""What an agent reads in pieces when it wants more than a tool's small answer.

Used by `serving`.

    flow://run/{id}/stdout{?start,chars}     what a run has printed; stderr, result likewise
    flow://session/timeline                  what was done in this session, a line each
    flow://report/{task}                     plan, steps, cells, answers and files of a task
    flow://checkpoint/{id}/diff              what it holds that the one before it does not
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from flow_kernel.apps.mcp.calls import Caller
from flow_kernel.apps.mcp.cells import Cells
from flow_kernel.apps.mcp.kernels import Kernels
from flow_kernel.apps.mcp.shaping import clean, uri_of
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.plain import human_ms, one_line

_PAGE_CHARS: Final = 20_000
_MOST_CHARS: Final = 200_000
_TIMELINE: Final = 200


class Resources:
    """The resources of one server."""

    templates: Final[tuple[tuple[str, str, str], ...]] = (
        ("stdout", "flow://run/{id}/stdout{?start,chars}", "what a run printed, in pages"),
        ("stderr", "flow://run/{id}/stderr{?start,chars}", "what it wrote to stderr"),
        ("result", "flow://run/{id}/result{?start,chars}", "its value"),
        ("report", "flow://report/{task}", "a task: plan, steps, cells, answers, files"),
        ("diff", "flow://checkpoint/{id}/diff", "what changed since the checkpoint before it"),
    )

    def __init__(self, kernels: Kernels, cells: Cells, terminal: Terminal) -> None:
        self._kernels = kernels
        self._cells = cells
        self._terminal = terminal

    async def read(self, uri: str, caller: Caller) -> str:
        """The text of a resource.

        Raises:
            NotFound: There is none of that name.
            UsageError: Its range cannot be read.
        """
        try:
            parts = urlsplit(uri)
        except ValueError:
            raise NotFound(f"{uri[:80]!r} is no address") from None
        words = [parts.netloc, *filter(None, map(unquote, parts.path.split("/")))]
        match words if parts.scheme == "flow" else ():
            case ["run", run_id, ("stdout" | "stderr" | "result") as name]:
                return await self._of_run(run_id, name, parse_qs(parts.query), caller)
            case ["session", "timeline"]:
                return await self._timeline(caller)
            case ["report", task_id]:
                return await self._in_thread(caller, "report", lambda: self._report(task_id))
            case ["checkpoint", name, "diff"]:
                return await self._in_thread(caller, "diff", lambda: self._diff(name))
        raise NotFound(f"there is no resource {uri[:80]!r}")

    async def _of_run(
        self, run_id: str, name: str, query: Mapping[str, list[str]], caller: Caller
    ) -> str:
        start = _number(query, "start", 0, most=2**53)
        chars = _number(query, "chars", _PAGE_CHARS, most=_MOST_CHARS)
        started = await self._cells.find(run_id, caller)
        run, record = started.run, started.run.record
        out = {"stdout": run.out, "stderr": run.err, "result": run.result}[name]
        if record is not None and not out.chars:
            text = str(record.get(name) or "")
            page, full = text[start : start + chars], len(text)
            cut = " (head and tail, as the log keeps them)" if _is_cut(record, name) else ""
        else:
            page, full = out.page(start, chars), out.chars
            cut = " (the rest was not kept)" if out.is_cut else ""
            if out.is_let_go:
                cut = " (no more is kept of it: newer output took the room)"
                page, start = "", min(start, full)
        end = start + len(page)
        if end >= full and not start and not cut:
            return clean(page)
        after = f"; next: {uri_of(run_id, name)}?start={end}" if page and end < full else ""
        return f"{clean(page)}\n[characters {start} to {end} of {full}{cut}{after}]"

    async def _timeline(self, caller: Caller) -> str:
        link = await self._kernels.link()
        told = await link.ask("history", limit=_TIMELINE, actor=caller.actor, tool="timeline")
        records = told["items"] if isinstance(told["items"], list) else []
        lines = [_line(record) for record in records if record.get("kind") != "cell_started"]
        return "\n".join(lines)

    async def _in_thread(self, caller: Caller, tool: str, make: Callable[[], str]) -> str:
        link = await self._kernels.link()
        await link.ask("status", actor=caller.actor, tool=tool)
        return await asyncio.to_thread(make)

    def _report(self, task_id: str) -> str:
        from flow_kernel.apps.flow_config import texts_of  # with the store: few agents ask for it
        from flow_kernel.session.open_home import flow_of
        from flow_kernel.session.report_markdown import markdown_of
        from flow_kernel.session.reports import reports_of
        from flow_kernel.workflow.picture_stored import draw

        flow = flow_of(self._kernels.home)
        try:
            reports = reports_of(flow, task_id, draw=draw)
            return markdown_of(reports, texts_of(self._terminal))
        finally:
            flow.close()

    def _diff(self, name: str) -> str:
        from flow_kernel.apps.shelves import files_at, shelf_at  # with all that checkpoints need
        from flow_kernel.session.checkpoints.checkpoint import differing
        from flow_kernel.session.checkpoints.near import find_near
        from flow_kernel.shell.views.checkpoint_display import DifferenceCard

        shelf = shelf_at(self._kernels.home)
        after = find_near(shelf, name)
        if after.parent_id is None:
            return f"{after.name} is the first one: {', '.join(sorted(after.variables))}"
        before = find_near(shelf, after.parent_id)
        files = files_at(self._kernels.home, self._terminal).difference(before, after)
        return repr(DifferenceCard(before, after, differing(before, after, files)))


def _line(record: Mapping[str, Any]) -> str:
    kind = str(record.get("kind"))
    who = record.get("actor") or record.get("author") or ""
    what = one_line(str(record.get("code") or record.get("name") or record.get("step") or ""), 80)
    took = record.get("elapsed_ms")
    ms = f" {human_ms(took)}" if isinstance(took, int | float) else ""
    mark = " FAILED" if record.get("success") is False else ""
    when = str(record.get("timestamp", ""))[11:19]
    return f"{record.get('seq')} {when} {kind} {who} {what}{ms}{mark}".rstrip()


def _is_cut(record: Mapping[str, object], name: str) -> bool:
    cut = record.get("truncated")
    return isinstance(cut, Mapping) and name in cut


def _number(query: Mapping[str, list[str]], key: str, default: int, *, most: int) -> int:
    text = query.get(key, [str(default)])[0]
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise UsageError(f"{key} is a number from 0 to {most}, not {text[:40]!r}")
    return int(text)
