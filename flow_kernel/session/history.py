"""What the log says of one session: its cells, and which of them touched a name.

Called by the `%flow` magics and by programs through `current_session().history`.

Read from the files, not kept in memory: a session that runs for weeks does not grow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flow_kernel.records.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """One cell that set, changed, mutated or removed a name.

    Attributes:
        seq: The cell's record.
        execution_count: The number in `In [n]`.
        timestamp: UTC, ISO 8601.
        how: One of added, changed, mutated, removed.
        code: The cell's source, without secrets.
        summary: What the name held afterwards; empty where that is not known.
        success: False when the cell failed.
    """

    seq: int
    execution_count: int | None
    timestamp: str
    how: str
    code: str
    summary: str
    success: bool


class History:
    """The records of `session` in the log files of `home`."""

    def __init__(self, home: Home, session: str) -> None:
        self._home = home
        self._session = session

    def files(self) -> list[Path]:
        """The log files that may hold records of the session."""
        return self._home.log_files()

    def records(self, kind: str | None = None) -> Iterator[dict[str, object]]:
        """The session's records in the order in which they were written."""
        from flow_kernel.records.scan import (
            read_records,
        )  # 5 ms that a starting kernel need not pay

        for record in read_records(self.files()):
            if record.get("session") == self._session and kind in (None, record.get("kind")):
                yield record

    def cells(self) -> list[dict[str, object]]:
        """The `cell` records, oldest first."""
        return list(self.records("cell"))

    def why(self, name: str) -> list[Touch]:
        """The cells that set, changed, mutated or removed `name`, newest first."""
        touches = []
        for record in self.records("cell"):
            for how in ("added", "changed", "mutated", "removed"):
                names = record.get(f"{how}_vars")
                if isinstance(names, list) and name in names:
                    touches.append(_touch(record, name, how))
                    break
        touches.reverse()
        return touches


def _touch(record: dict[str, object], name: str, how: str) -> Touch:
    summaries = record.get("vars")
    summary = summaries.get(name) if isinstance(summaries, dict) else None
    text = summary.get("summary") if isinstance(summary, dict) else None
    seq, count = record.get("seq"), record.get("execution_count")
    return Touch(
        seq=seq if isinstance(seq, int) else 0,
        execution_count=count if isinstance(count, int) else None,
        timestamp=str(record.get("timestamp", "")),
        how=how,
        code=str(record.get("code", "")),
        summary=text if isinstance(text, str) else "",
        success=record.get("success") is True,
    )
