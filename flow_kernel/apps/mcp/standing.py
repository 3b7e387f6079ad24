"""What a run that goes on does, or waits for, in few words (pure).

Made by `cells` from what the kernel answers while it is busy; told by `shaping` and as progress.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flow_kernel.apps.mcp.cell_run import CellRun
from flow_kernel.records.plain import one_line, strip_controls

_LINE_CHARS: Final = 100
_CODE_CHARS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of one run at one moment; `None` and empty for what is not known.

    Attributes:
        cell: The other cell that it waits behind, as the kernel tells of it.
        calls_before: Calls of this server that have to end before it can begin.
        last_line: Of what it has printed, where that is known.
        is_begun: It is the cell that runs.
    """

    is_begun: bool = False
    cell: Mapping[str, Any] | None = None
    calls_before: int = 0
    last_line: str = ""

    def behind(self) -> dict[str, object] | None:
        """The cell that is waited for: which, whose, for how long it has run, what it says."""
        if self.cell is None:
            return None
        number = self.cell.get("execution_count")
        told = {
            "cell": f"In [{number}]" if number is not None else "a cell",
            "by": one_line(str(self.cell.get("actor") or ""), 40),
            "s": _seconds(self.cell.get("elapsed_ms")),
            "code": _first_line(str(self.cell.get("code") or "")),
            "last": one_line(str(self.cell.get("last_line") or ""), _LINE_CHARS),
        }
        return {key: value for key, value in told.items() if value not in (None, "")}


def standing_of(run: CellRun, status: Mapping[str, Any], calls_before: int) -> Standing:
    """How a run stands.

    Args:
        run: Not ended.
        status: What the kernel says of itself.
        calls_before: Earlier calls of this server that have not ended.
    """
    cell = status.get("cell")
    if not isinstance(cell, Mapping):
        return Standing(calls_before=calls_before)
    if cell.get("msg_id") == run.run_id:
        return Standing(is_begun=True, last_line=str(cell.get("last_line") or ""))
    return Standing(cell=cell, calls_before=calls_before)


def last_line(run: CellRun) -> str:
    """Of what it has printed so far, on stdout or stderr, whichever came last."""
    text = strip_controls(run.latest.tail.replace("\r", "\n"), keep="\n\t")
    lines = [line for line in text.split("\n") if line.strip()]
    return one_line(lines[-1][-_LINE_CHARS:].strip(), _LINE_CHARS) if lines else ""


def words(run: CellRun, standing: Standing) -> str:
    """The same as a line for whoever waits."""
    if run.state == "queued":
        return _waiting(standing)
    said = [run.progress or run.state]
    if run.lines or run.latest.chars:
        said.append(f"{run.lines} line{'s' * (run.lines != 1)} of output")
    if last := last_line(run) or one_line(standing.last_line, _LINE_CHARS):
        said.append(f"last: {last}")
    return "; ".join(said)


def _waiting(standing: Standing) -> str:
    behind = standing.behind()
    if behind is None:
        return "queued"
    by = f" of {behind['by']}" if "by" in behind else ""
    time = f", which has run {behind['s']} s" if "s" in behind else ""
    before = standing.calls_before
    calls = f"; {before} call{'s' * (before != 1)} before it" if before else ""
    return f"queued behind {behind['cell']}{by}{time}{calls}"


def _seconds(elapsed_ms: object) -> float | None:
    return round(elapsed_ms / 1000, 1) if isinstance(elapsed_ms, int | float) else None


def _first_line(code: str) -> str:
    lines = [line for line in code.splitlines() if line.strip()]
    return one_line(lines[0], _CODE_CHARS) if lines else ""
