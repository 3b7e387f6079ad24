"""Records of cells as real sessions leave them, for benchmarks that need one or a million.

Called by `micro.py` and `reading.py`. The lines come from the project's own codec, chained as a
journal chains them, in files of 64 MB.
"""

import os
import random
import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from flow_kernel.records import codec

PLAN: Final = "local"
TASKS: Final = 10
SESSIONS: Final = 50
_ROTATE_BYTES: Final = 64 * 1024 * 1024
_START: Final = datetime(2026, 3, 1, tzinfo=UTC)
_ERROR: Final = {
    "ename": "KeyError",
    "evalue": "'sold'",
    "traceback": ["Traceback (most recent call last)", "KeyError: 'sold'"],
    "line": 2,
}


def cell_fields(rng: random.Random, number: int) -> dict[str, object]:
    """The fields of a typical cell, about 900 bytes with its header; one in 50 failed."""
    name = f"df_{number % 40}"
    failed = number % 50 == 0
    return {
        "success": not failed,
        "status": "error" if failed else "ok",
        "elapsed_ms": round(rng.expovariate(0.02), 3),
        "step": None,
        "cell_id": f"{rng.getrandbits(32):08x}",
        "execution_count": number,
        "msg_id": f"{rng.getrandbits(64):016x}_{number}",
        "span_id": f"{rng.getrandbits(64):016x}",
        "parent_span_id": None,
        "trace_id": f"{rng.getrandbits(128):032x}",
        "actor": "user",
        "worker": None,
        "code": f"{name} = load({number})\n{name}.groupby('shop').sold.mean()",
        "code_sha256": f"{rng.getrandbits(256):064x}",
        "stdout": "".join(rng.choices(string.ascii_letters, k=number % 24)),
        "stderr": "",
        "result": "shop\na    3.5\nb    4.25" if number % 3 == 0 else None,
        "outputs": [],
        "error": _ERROR if failed else None,
        "added_vars": [name],
        "changed_vars": [],
        "removed_vars": [],
        "mutated_vars": [],
        "vars": {name: {"type": "DataFrame", "shape": [number, 3]}},
        "added_imports": [],
        "imports": {},
        "loads": ["load"],
        "stores": [name],
        "cpu_ms": round(rng.random() * 50, 3),
        "rss_bytes": 120_000_000 + number,
        "truncated": {},
        "redacted": 0,
        "recorder_us": 60 + number % 30,
    }


def write_home(home: Path, *, records: int, rng: random.Random) -> None:
    """Fills the home with cells of 50 sessions in ten tasks; about 8 s for a million."""
    templates = [cell_fields(rng, number) for number in range(2_000)]
    folder = home / "log" / PLAN
    folder.mkdir(parents=True, exist_ok=True)
    for task in range(TASKS):
        task_id = f"T-{task:04d}"
        sessions = range(task, SESSIONS, TASKS)
        headers = _headers([f"{number + 1:032x}" for number in sessions], records // SESSIONS)
        _write_task(folder, task_id, headers, templates)


def _headers(sessions: list[str], each: int) -> Iterator[tuple[str, int, str]]:
    """(session, seq, timestamp) of every record of a task, in the order of its log."""
    for session in sessions:
        for seq in range(1, each + 1):
            moment = _START + timedelta(seconds=7 * seq)
            yield session, seq, f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def _write_task(
    folder: Path,
    task_id: str,
    headers: Iterator[tuple[str, int, str]],
    templates: list[dict[str, object]],
) -> None:
    rotation = 0
    is_done = False
    while not is_done:
        links: dict[str, str] = {}
        written = 0
        # The current file is renamed when it is full, so the newest one has no number.
        path = folder / f"{task_id}.jsonl"
        with path.open("wb") as log:
            is_done = True
            for session, seq, timestamp in headers:
                line = codec.encode(
                    {
                        "v": codec.SCHEMA_VERSION,
                        "kind": "cell",
                        "session": session,
                        "seq": seq,
                        "plan_id": PLAN,
                        "task_id": task_id,
                        "timestamp": timestamp,
                        "prev": links.get(session, codec.NO_PREVIOUS),
                        **templates[seq % len(templates)],
                    }
                )
                links[session] = codec.link(line)
                written += log.write(line + b"\n")
                if written >= _ROTATE_BYTES:
                    is_done = False
                    break
            log.flush()
            os.fsync(log.fileno())  # write-back is over before anything is timed
        if not is_done:
            rotation += 1
            path.rename(folder / f"{task_id}.{rotation}.jsonl")
