"""A replay as a notebook of format 4.5, written without nbformat (pure).

Called by `replay`.

Source: https://nbformat.readthedocs.io, "The Notebook file format", version 4.5.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from flow_kernel.apps.replay_cells import Replay, ReplayCell
from flow_kernel.records.plain import counted

_CELL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_HEADER_ID: Final = "flow-replay"


def notebook(replay: Replay) -> str:
    """The text of the .ipynb file."""
    ids = {_HEADER_ID}
    document = {
        "cells": [_header(replay), *(_code_cell(cell, ids) for cell in replay.cells)],
        "metadata": {
            "flow": {"replayed_from": replay.source},
            "kernelspec": {
                "display_name": "Flow (Python 3)",
                "language": "python",
                "name": "flow",
            },
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def header_lines(replay: Replay) -> Iterator[str]:
    """What a reader should know, in lines of Markdown."""
    first, last = replay.cells[0].record, replay.cells[-1].record
    yield f"# Replay of {replay.source}"
    yield ""
    cells = counted(len(replay.cells), "cell")
    yield f"{cells}, {first.get('timestamp')} to {last.get('timestamp')}."
    left = [f"{count} {what}" for what, count in replay.left_out.items() if count]
    if left:
        yield f"Left out: {', '.join(left)}."
    if any(cell.record.get("redacted") for cell in replay.cells):
        yield "Secrets were replaced by `[REDACTED:…]` before the log was written."
    if any("code" in (cell.record.get("truncated") or {}) for cell in replay.cells):
        yield "Very long sources are cut in the log, and so they are here."


def _header(replay: Replay) -> dict[str, Any]:
    text = "\n".join(header_lines(replay))
    return {"cell_type": "markdown", "id": _HEADER_ID, "metadata": {}, "source": _lines(text)}


def _code_cell(cell: ReplayCell, ids: set[str]) -> dict[str, Any]:
    record = cell.record
    keys = ("session", "seq", "plan_id", "task_id")
    metadata: dict[str, Any] = {"flow": {key: record.get(key) for key in keys}}
    if not cell.has_succeeded and cell.death is None:
        # Runners go on after a failure that was part of the story.
        metadata["tags"] = ["raises-exception"]
    count = record.get("execution_count")
    return {
        "cell_type": "code",
        "execution_count": count if isinstance(count, int) and count >= 0 else None,
        "id": _fresh_id(record, ids),
        "metadata": metadata,
        "outputs": list(_outputs(cell)),
        "source": _lines(cell.code),
    }


def _fresh_id(record: dict[str, Any], ids: set[str]) -> str:
    wanted = record.get("cell_id")
    if not isinstance(wanted, str) or not _CELL_ID.match(wanted):
        wanted = f"flow-{str(record.get('session'))[:8]}-{record.get('seq')}"
        wanted = re.sub(r"[^a-zA-Z0-9_-]", "-", wanted)[:50]
    found, number = wanted, 1
    while found in ids:
        number += 1
        found = f"{wanted[:55]}-{number}"
    ids.add(found)
    return found


def _outputs(cell: ReplayCell) -> Iterator[dict[str, Any]]:
    record = cell.record
    streams = [("stdout", record.get("stdout")), ("stderr", record.get("stderr"))]
    for name, text in (*streams, *cell.late):
        if isinstance(text, str) and text:
            stream = name if name in ("stdout", "stderr") else "stdout"
            yield {"name": stream, "output_type": "stream", "text": _lines(text)}
    result = record.get("result")
    if isinstance(result, str):
        count = record.get("execution_count")
        yield {
            "data": {"text/plain": _lines(result)},
            "execution_count": count if isinstance(count, int) and count >= 0 else None,
            "metadata": {},
            "output_type": "execute_result",
        }
    error = _error(cell)
    if error is not None:
        yield {"output_type": "error", **error}


def _error(cell: ReplayCell) -> dict[str, Any] | None:
    if cell.death is not None:
        reason = f"the kernel died: {cell.death.get('reason')}"
        return {"ename": "DeadKernelError", "evalue": reason, "traceback": [reason]}
    error = cell.record.get("error")
    if not isinstance(error, dict):
        return None
    traceback = error.get("traceback")
    return {
        "ename": str(error.get("ename") or ""),
        "evalue": str(error.get("evalue") or ""),
        "traceback": [str(line) for line in traceback] if isinstance(traceback, list) else [],
    }


def _lines(text: str) -> list[str]:
    """`text` as notebooks store it: lines that keep their newlines, for readable differences."""
    return [line for line in re.split(r"(?<=\n)", text) if line]
