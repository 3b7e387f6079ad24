"""What an agent is told of a run: head and tail, and where the rest is (pure).

Used by the tools. Every answer has at most `LIMIT` characters as JSON: what is too long keeps 60 %
of its room from the head and 40 % from the tail, and says how much there is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from flow_kernel.apps.mcp.cell_run import CellRun
from flow_kernel.apps.mcp.spool import ENDS_CHARS, Spool
from flow_kernel.apps.mcp.standing import Standing, last_line
from flow_kernel.records.plain import one_line, strip_controls

LIMIT: Final = 2400
_OUT_CHARS: Final = 1500
_ERR_CHARS: Final = 400
_RESULT_CHARS: Final = 700
_ERROR_CHARS: Final = 500
_TAIL_CHARS: Final = 600
_PAGE_CHARS: Final = 1200
_LEAST: Final = 60
_NAMES: Final = 12
_SUMMARY_CHARS: Final = 70
_FRAMES: Final = 3
_REWRITTEN: Final = re.compile(r"[^\n]*\r(?!\n)")
_FRAME: Final = re.compile(
    r"^(?:Cell In\[\d+\](?:, line \d+)?|File (?!.*(?:site-packages|dist-packages|/lib/python))"
    r"[^\n]*line \d+[^\n]*|  File [^\n]*line \d+[^\n]*)"
)
_ARROW: Final = re.compile(r"^-+> *(\d+) ?(.*)$")

Answer = dict[str, Any]


def text_of(answer: Answer) -> str:
    """The answer as text, without empty keys and within the limit."""
    kept = {key: value for key, value in answer.items() if value not in (None, "", [], {})}
    text = _dumps(kept)
    room = 1.0
    while len(text) > LIMIT and room > 0.01:
        room *= 0.85
        text = _dumps({key: _shrunk(value, room) for key, value in kept.items()})
    return text


def fits(answer: Answer) -> bool:
    """True where nothing of it has to be left out."""
    return len(_dumps(answer)) <= LIMIT


def clean(text: str) -> str:
    """What a person would see: no colours, no control characters, no lines that were rewritten."""
    return strip_controls(_REWRITTEN.sub("", text.replace("\r\n", "\n")), keep="\n\t")


def squeezed(text: str, chars: int) -> str:
    """Head and tail of a text, and how much was left out between them."""
    if len(text) <= chars:
        return text
    note = f"\n…[{len(text) - chars} characters left out]…\n"
    room = max(chars - len(note), 0)
    head = room * 6 // 10
    return text[:head] + note + (text[-(room - head) :] if room > head else "")


def ends_of(spool: Spool, chars: int) -> str:
    """The same of what a run has printed."""
    if spool.chars <= ENDS_CHARS:
        return squeezed(clean(spool.head), chars)
    head, tail = clean(spool.head)[: chars * 6 // 10], clean(spool.tail)
    tail = tail[-max(chars * 4 // 10, 1) :]
    left = max(spool.chars - len(head) - len(tail), 0)
    return f"{head}\n…[{left} characters left out]…\n{tail}"


def run_answer(run: CellRun, record: Mapping[str, object] | None) -> Answer:
    """What came of a run that has ended.

    Args:
        run: The run.
        record: What the log says of it; None where that is not known.
    """
    reply = run.reply or {}
    content = reply.get("content") or {}
    facts = (reply.get("metadata") or {}).get("flow") or record or {}
    error = _error_of(content, record)
    has_record = record is not None and not run.out.chars
    out = clean(str((record or {}).get("stdout") or "")) if has_record else ""
    answer: Answer = {
        "ok": error is None and not run.loss,
        "run": run.run_id,
        "ms": _rounded(facts.get("elapsed_ms")),
        "out": squeezed(out, _OUT_CHARS) if has_record else ends_of(run.out, _OUT_CHARS),
        "stderr": ends_of(run.err, _ERR_CHARS) if run.err.chars else _of(record, "stderr"),
        "result": _result_of(run, record),
        "shown": run.shown,
        "err": error or ({"type": run.loss_kind, "msg": run.loss} if run.loss else None),
        "diff": diff_of(facts, record),
        "worker": facts.get("worker"),
        "rev": facts.get("seq"),
    }
    cut = (record or {}).get("truncated") if has_record else None
    full = cut.get("stdout") if isinstance(cut, Mapping) else None
    if run.out.chars > len(answer["out"]) or full or len(out) > _OUT_CHARS:
        answer["more"] = {"uri": uri_of(run.run_id), "chars": full or run.out.chars or len(out)}
    for name, spool, most in (
        ("stderr", run.err, _ERR_CHARS),
        ("result", run.result, _RESULT_CHARS),
    ):
        if (chars := spool.chars or len(str((record or {}).get(name) or ""))) > most:
            answer[f"more_{name}"] = {"uri": uri_of(run.run_id, name), "chars": chars}
    return answer


def running_answer(run: CellRun, since: int | None, standing: Standing | None = None) -> Answer:
    """What a run that goes on has said so far, or what it waits for.

    Args:
        run: The run.
        since: The first character to tell of; None for the end of it.
        standing: As the kernel tells of it.
    """
    standing, is_queued = standing or Standing(), run.state == "queued"
    answer: Answer = {
        "state": run.state,
        "run": run.run_id,
        "s": run.elapsed_s,
        "behind": standing.behind() if is_queued else None,
        "calls_before": (is_queued and standing.calls_before) or None,
        "how": _how(run) if is_queued else None,
        "progress": run.progress,
        "lines": run.lines or None,
        "chars": run.out.chars,
        "stderr": last_line(run) if run.latest is run.err else "",
        "last": "" if run.latest.chars else one_line(standing.last_line, _SUMMARY_CHARS),
    }
    last = clean(run.out.tail)[-_TAIL_CHARS:]
    if since is None:
        return {**answer, "out": last}
    page = run.out.page(since, _PAGE_CHARS)
    if not page and since < run.out.chars:
        return {**answer, "out": last, "next": run.out.chars, "note": "the rest was not kept"}
    while True:  # what is not told now is told from `next` on
        if since + len(page) < run.out.chars and "\n" in page:
            page = page[: page.rindex("\n") + 1]  # whole lines: no escape sequence is cut in two
        told = {**answer, "out": clean(page), "next": since + len(page)}
        if len(page) <= 1 or fits(told):
            return told
        page = page[: len(page) * 3 // 4]


def _how(run: CellRun) -> str:
    if run.is_withdrawn:
        return "it was cancelled and will not run"
    return "it has not begun; look again with run_status"


def uri_of(run_id: str, name: str = "stdout") -> str:
    """Where the whole of what a run has printed, or its value, is."""
    return f"flow://run/{run_id}/{name}"


def diff_of(facts: Mapping[str, Any], record: Mapping[str, object] | None) -> Answer:
    """What changed in the session: + ~ -, each name with what it is."""
    told = (record or {}).get("vars")
    heads = told if isinstance(told, Mapping) else {}

    def named(names: Sequence[str]) -> list[str]:
        shown = [head_of(name, heads.get(name)) for name in names[:_NAMES]]
        return [*shown, f"… {len(names) - _NAMES} more"] if len(names) > _NAMES else shown

    changed = sorted({*(facts.get("changed_vars") or ()), *(facts.get("mutated_vars") or ())})
    found = {
        "+": named(facts.get("added_vars") or ()),
        "~": named(changed),
        "-": named(facts.get("removed_vars") or ()),
    }
    return {sign: names for sign, names in found.items() if names}


def head_of(name: str, told: object) -> str:
    """A variable in a line: `df: DataFrame(3, 2) …`."""
    if not isinstance(told, Mapping):
        return one_line(name, 60)
    shape = told.get("shape")
    size = f"({', '.join(map(str, shape))})" if isinstance(shape, list | tuple) else ""
    summary = one_line(str(told.get("summary") or ""), _SUMMARY_CHARS)
    return f"{one_line(name, 60)}: {told.get('type', '?')}{size} {summary}".rstrip()


def _error_of(content: Mapping[str, Any], record: Mapping[str, object] | None) -> Answer | None:
    told = (record or {}).get("error")
    if content.get("status") == "aborted":
        return {"type": "Aborted", "msg": "a cell before it failed, so it did not run"}
    if content.get("status") != "error" and not isinstance(told, Mapping):
        return None
    known: Mapping[str, Any] = content if content.get("status") == "error" else told  # type: ignore[assignment]  # a mapping, as looked at above
    lines = known.get("traceback")
    trace = clean("\n".join(map(str, lines))) if isinstance(lines, list) else ""
    frames, line = frames_of(trace)
    return {
        "type": one_line(str(known.get("ename", "")), 80),
        "msg": squeezed(clean(str(known.get("evalue", ""))), _ERROR_CHARS),
        **({"line": line} if line is not None else {}),
        **({"tb": frames} if frames else {}),
    }


def frames_of(trace: str) -> tuple[list[str], int | None]:
    """The last frames of the user's own code with the lines that failed, and the last such line."""
    frames: list[str] = []
    where, number = "", None
    for text in trace.split("\n"):
        if _FRAME.match(text):
            where = one_line(text, 100)
        elif text.startswith("File ") or text.startswith("/"):
            where = ""  # of a library
        elif (arrow := _ARROW.match(text)) and where:
            number = int(arrow[1])
            frames.append(f"{where}: {arrow[2].strip()[:120]}")
    return frames[-_FRAMES:], number


def _result_of(run: CellRun, record: Mapping[str, object] | None) -> str:
    if run.result.chars:
        return ends_of(run.result, _RESULT_CHARS)
    return squeezed(clean(str((record or {}).get("result") or "")), _RESULT_CHARS)


def _of(record: Mapping[str, object] | None, field: str) -> str:
    return squeezed(clean(str((record or {}).get(field) or "")), _ERR_CHARS)


def _rounded(value: object) -> float | None:
    return round(value, 1) if isinstance(value, int | float) else None


def _shrunk(value: object, room: float) -> object:
    """`value` with the texts in it cut to a share of what they are."""
    if isinstance(value, str):
        return squeezed(value, max(int(len(value) * room), _LEAST))
    if isinstance(value, Mapping):
        return {key: _shrunk(item, room) for key, item in value.items()}
    if isinstance(value, list):
        most = max(int(len(value) * room), 1)
        left = [f"… {len(value) - most} more"] if len(value) > most else []
        return [*(_shrunk(item, room) for item in value[:most]), *left]
    return value


def _dumps(value: object) -> str:
    try:
        return orjson.dumps(value, default=str).decode("utf-8")
    except (TypeError, ValueError):  # text that is no Unicode, or numbers of any size
        return orjson.dumps(_plain(value), default=str).decode("utf-8")


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {str(_plain(str(key))): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value
