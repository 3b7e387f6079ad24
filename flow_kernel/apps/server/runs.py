"""Runs of workflows over HTTP.

Added to a server by `extension`; the picture of a run is a page of its own, see `pages`.
"""

import re
from typing import Any, Final

from flow_kernel.apps.server.base import Looking
from flow_kernel.errors import UsageError
from flow_kernel.workflow.picture_stored import draw
from flow_kernel.workflow.service import Service
from flow_kernel.workflow.shortened import lines_of

_LIMIT: Final = 50
_MOST: Final = 500
_RUN: Final = re.compile(r"R-[0-9]{1,15}\Z")
_LOGS_CHARS: Final = 20_000
_OUTPUT_LINES: Final = 60
_HEIGHT: Final = re.compile(r'<svg [^>]* height="(\d{1,6})"')
_AROUND_PX: Final = 120
_STEP_PX: Final = 22
_MOST_PX: Final = 760


class RunList(Looking):
    """`?limit= &cursor=`: runs, the newest first."""

    def look(self, **_: str) -> object:
        """One page."""
        cursor = self.word("cursor")
        if cursor and _RUN.match(cursor) is None:
            raise UsageError(f"{cursor[:40]!r} is no cursor")
        if not self.dashboard.has_store:
            return {"items": [], "next": None}
        book = Service(self.dashboard.flow()).book
        limit = self.count("limit", _LIMIT, most=_MOST)
        found = book.page(before=cursor or None, limit=limit)
        following = found[-1].run_id if len(found) == limit else None
        items = [
            {
                "run_id": row.run_id,
                "workflow": row.workflow,
                "status": str(row.status),
                "reason": row.reason,
                "plan_id": row.plan_id,
                "task_id": row.task_id,
                "started_at": row.started_at,
                "completed_at": row.completed_at,
            }
            for row in found
        ]
        return {"items": items, "next": following}


class RunPage(Looking):
    """One run with its steps."""

    def look(self, **where: str) -> object:
        """The facts."""
        found = Service(self.dashboard.flow()).book.run(where["name"])
        told: dict[str, Any] = found.as_dict()
        for step, view in zip(told["steps"], found.steps, strict=True):
            step["logs"] = (view.logs or "")[-_LOGS_CHARS:]
        output = told.pop("output_data")
        told["picture_px"] = _height_of(
            draw(self.dashboard.flow(), found.run_id), steps=len(found.steps)
        )
        told["output"] = [] if output is None else [*lines_of(output)][:_OUTPUT_LINES]
        return told


def _height_of(picture: str, *, steps: int) -> int:
    """How high the frame of a picture is made: nothing in it could say so by a script."""
    found = _HEIGHT.search(picture)
    around_px = _AROUND_PX + _STEP_PX * steps
    return min((int(found[1]) if found else 0) + around_px, _MOST_PX)
