"""The log of a home over HTTP: pages of rows, searches, and one record as it is stored.

Added to a server by `extension`.
"""

import re
from typing import Final

from flow_kernel.apps.server.base import Looking
from flow_kernel.apps.server.log_pages import Record, Wanted, find_record, page_of
from flow_kernel.apps.server.rows import row_of, words_of
from flow_kernel.apps.sources import Filter
from flow_kernel.errors import UsageError

_LIMIT: Final = 50
_MOST: Final = 500
_CURSOR_CHARS: Final = 50_000
_SESSION: Final = re.compile(r"[0-9a-f]{32}\Z")
_SEQ: Final = re.compile(r"[1-9][0-9]{0,15}\Z")
SHOWN: Final[dict[str, frozenset[str]]] = {
    "cells": frozenset(("cell", "death")),
    "failed": frozenset(("cell", "death")),
    "tasks": frozenset(("task", "plan", "step", "context", "tag", "approval", "run")),
    "workers": frozenset(("worker",)),
    "all": frozenset(
        (
            *("cell", "death", "hidden", "late", "plan", "task", "step", "context", "tag"),
            *("approval", "checkpoint", "rollback", "worker", "run"),
        )
    ),
}
"""What a list can be restricted to, and the kinds of records it holds."""


class RecordList(Looking):
    """`?plan= &task= &show= &q= &limit= &cursor=`: rows, newest first."""

    def look(self, **_: str) -> object:
        """One page."""
        wanted = wanted_of(
            Filter(plan_id=self.word("plan") or None, task_id=self.word("task") or None),
            show=self.word("show") or "all",
            text=self.word("q"),
        )
        page = page_of(
            self.dashboard.home,
            wanted,
            limit=self.count("limit", _LIMIT, most=_MOST),
            cursor=self.word("cursor", most=_CURSOR_CHARS),
        )
        return {
            "items": [row_of(record) for record in page.records],
            "next": page.cursor,
            "is_cut": page.is_cut,
            "until": page.until,
            "left_bytes": page.left_bytes,
            "total_bytes": page.total_bytes,
        }


class RecordPage(Looking):
    """One record, whole."""

    def look(self, **where: str) -> object:
        """The record."""
        session, seq = where["session"], where["seq"]
        if _SESSION.match(session) is None or _SEQ.match(seq) is None:
            raise UsageError("a record is named by its session, 32 hex, and its number")
        place = Filter(plan_id=where["plan_id"], task_id=where["task_id"])
        record = find_record(self.dashboard.home, place, session=session, seq=int(seq))
        return {"row": row_of(record), "record": record}


def wanted_of(where: Filter, *, show: str, text: str = "") -> Wanted:
    """What a page holds.

    Args:
        where: Its plan and task.
        show: One of `SHOWN`.
        text: What each record holds, upper or lower case.

    Raises:
        UsageError: There is no such restriction.
    """
    if show not in SHOWN:
        raise UsageError(f"show is one of {', '.join(SHOWN)}, not {show[:40]!r}")
    kinds = SHOWN[show]
    words = [word.casefold() for word in text.split()][:20]
    marks = [b'"kind":"%b"' % kind.encode() for kind in kinds]
    # Letters that JSON writes as they are; others are looked for in the record alone.
    plain = [word.encode() for word in words if word.isascii() and not {*word} & {*'"\\'}]

    def may_match(line: bytes) -> bool:
        head = line[:200]
        if not any(mark in head for mark in marks):
            return False
        if show == "failed" and b'"kind":"cell"' in head and b'"success":true' in line[:700]:
            return False
        if not plain:
            return True
        lower = line.lower()
        return all(word in lower for word in plain)

    def matches(record: Record) -> bool:
        if show == "failed" and record.get("kind") == "cell" and record.get("success") is not False:
            return False
        if not words:
            return True
        told = words_of(record).casefold()
        return all(word in told for word in words)

    return Wanted(where=where, kinds=kinds, may_match=may_match, matches=matches)
