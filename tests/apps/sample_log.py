"""Writes logs as sessions leave them, through the project's own codec.

Called by the tests of the command line, which need many small logs and no kernel.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from flow_kernel.records.codec import NO_PREVIOUS, encode, link

START: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


class SampleLog:
    """One session that appends to one log file of `home`; each record is a second later."""

    def __init__(
        self,
        home: Path,
        *,
        session: str = "a" * 32,
        plan: str = "local",
        task: str = "T-0001",
        file: str | None = None,
        start: datetime = START,
    ) -> None:
        self.path = home / "log" / "local" / (file or f"{task}.jsonl")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.session = session
        self.plan = plan
        self.task = task
        self.seq = 0
        self.clock = start
        self._prev = NO_PREVIOUS
        self._cells = 0

    def put(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Append one record."""
        self.seq += 1
        self.clock += timedelta(seconds=1)
        record = {
            "v": 1,
            "kind": kind,
            "session": self.session,
            "seq": self.seq,
            "plan_id": self.plan,
            "task_id": self.task,
            "timestamp": f"{self.clock:%Y-%m-%dT%H:%M:%S.000Z}",
            "prev": self._prev,
            **fields,
        }
        line = encode(record)
        self._prev = link(line)
        with self.path.open("ab") as file:
            file.write(line + b"\n")
        return record

    def start(self, code: str, **fields: Any) -> dict[str, Any]:
        """A cell begins."""
        self._cells += 1
        return self.put("cell_started", **(self._common(code) | fields))

    def end(self, started: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """A cell that has begun ends; it took 41.2 ms."""
        keys = ("cell_id", "execution_count", "msg_id", "span_id", "parent_span_id", "code")
        return self.put("cell", **(_ended() | {key: started[key] for key in keys} | fields))

    def cell(self, code: str = "x = 1", **fields: Any) -> dict[str, Any]:
        """A cell begins and ends."""
        identity = {key: fields.pop(key) for key in ("cell_id", "parent_span_id") if key in fields}
        return self.end(self.start(code, **identity), **fields)

    def failed(self, code: str = "1/0", ename: str = "ZeroDivisionError", **fields: Any) -> Any:
        """A cell begins and fails."""
        error = {"ename": ename, "evalue": "division by zero", "traceback": ["tb"], "line": 1}
        return self.cell(code, **({"success": False, "status": "error", "error": error} | fields))

    def death(self, started: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """The kernel died, in the cell `started` or idle."""
        known = {
            "pid": 1,
            "reason": "segfault",
            "signal": 11,
            "exit_code": None,
            "last_seq": self.seq,
            "peak_rss_bytes": None,
            "last_output": "",
            "span_id": started["span_id"] if started else None,
            "detail": "",
            "written_by": "b" * 32,
        }
        return self.put("death", **(known | fields))

    def hidden(self, count: int = 3, reason: str = "hidden") -> dict[str, Any]:
        """A burst of requests that are no cells."""
        return self.put("hidden", count=count, code_sha256=[], reason=reason)

    def raw(self, data: bytes) -> None:
        """Append bytes as they are."""
        with self.path.open("ab") as file:
            file.write(data)

    def _common(self, code: str) -> dict[str, Any]:
        return {
            "cell_id": None,
            "execution_count": self._cells,
            "msg_id": f"m{self._cells}",
            "span_id": f"{self.session[:4]}-{self._cells:04d}",
            "parent_span_id": None,
            "trace_id": "f" * 32,
            "actor": "user",
            "code": code,
            "code_sha256": "0" * 64,
            "redacted": 0,
        }


def _ended() -> dict[str, Any]:
    lists = ("added_vars", "changed_vars", "removed_vars", "mutated_vars", "added_imports")
    return {
        "success": True,
        "status": "ok",
        "elapsed_ms": 41.2,
        "step": None,
        "cell_id": None,
        "execution_count": None,
        "msg_id": None,
        "span_id": None,
        "parent_span_id": None,
        "trace_id": "f" * 32,
        "actor": "user",
        "worker": None,
        "code": "",
        "code_sha256": "0" * 64,
        "stdout": "",
        "stderr": "",
        "result": None,
        "outputs": [],
        "error": None,
        **{name: [] for name in lists},
        "vars": {},
        "imports": {},
        "loads": [],
        "stores": [],
        "cpu_ms": 1.5,
        "rss_bytes": 1000,
        "truncated": {},
        "redacted": 0,
        "recorder_us": 40,
    }
