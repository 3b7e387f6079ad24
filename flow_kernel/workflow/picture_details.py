"""What came out of each step, to be opened by whoever wants to see it: HTML without script (pure).

Called by `picture_html`. Bounded: the tail of a log, the end of a traceback, the first keys of an
output with values cut to a line; of very many steps those that have failed come first. All of it is
kept with the run.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from flow_kernel.records.plain import one_line
from flow_kernel.workflow.picture import safe
from flow_kernel.workflow.picture_sight import MARKS, Sight, error_text, facts_of
from flow_kernel.workflow.states import FAILED, StepState
from flow_kernel.workflow.views import StepView

STYLE: Final = """
.flow-wf.flow-wf details{margin:0;padding:1px 0}
.flow-wf details summary{cursor:pointer}.flow-wf details .mk{color:var(--c);font-weight:700}
.flow-wf details .d{opacity:.75}.flow-wf details .er{color:#d0553a}
.flow-wf.flow-wf pre{font:12px/1.45 ui-monospace,"DejaVu Sans Mono",monospace;
margin:2px 0 6px 1.3em;padding:4px 8px;background:none;color:inherit;border-left:2px solid #8886;
white-space:pre-wrap;overflow-wrap:anywhere;max-height:26em;overflow:auto}
"""
VALUE_CHARS: Final = 100
_MOST_STEPS: Final = 200
_MOST_KEYS: Final = 30
_MOST_CHARS: Final = 200_000
"""Of all that can be opened below one picture."""
_TEXT_CHARS: Final = 4000
_TEXT_LINES: Final = 60
_QUIET: Final = frozenset({StepState.PENDING, StepState.SKIPPED, StepState.CANCELLED})


def details_of(sight: Sight) -> str:
    """One `details` a step that has something to say."""
    return "".join(_details(sight))


def wanted_outputs(steps: tuple[StepView, ...]) -> list[str]:
    """Ids of the steps whose outputs may be shown: so many need not be read."""
    return [step.id for step in _chosen(steps)]


def _chosen(steps: tuple[StepView, ...]) -> list[StepView]:
    begun = [step for step in steps if step.state not in _QUIET]
    if len(begun) > _MOST_STEPS:
        begun.sort(key=lambda step: step.state not in FAILED)
        del begun[_MOST_STEPS:]
    return begun


def _details(sight: Sight) -> Iterator[str]:
    room, left = _MOST_CHARS, 0
    for step in _chosen(sight.run.steps):
        inside = "".join(_inside(step, sight.outputs.get(step.id, "")))
        if not inside:
            continue
        if len(inside) > room:
            left += 1
            continue
        room -= len(inside)
        yield f'<details class="{step.state}"><summary><span class="mk">{MARKS[step.state]}</span> '
        yield f'{safe(one_line(step.name, 60))} <span class="d">{safe(facts_of(step))}</span>'
        error = error_text(step, 160)
        yield f' <span class="er">{safe(error)}</span>' if error else ""
        yield f"</summary>{inside}</details>"
    begun = sum(step.state not in _QUIET for step in sight.run.steps)
    if begun > _MOST_STEPS or left:
        said = (
            f"what each of {begun:,} steps said: jupyter flow runs show {sight.run.run_id} --logs"
        )
        yield f'<div class="d">{safe(said)}</div>'


def _inside(step: StepView, output: str) -> Iterator[str]:
    error = step.error or {}
    trace = str(error.get("traceback") or error.get("stderr") or "").strip()
    if trace:
        yield f"<pre>{safe(tail_of(trace))}</pre>"
    logs = step.logs.strip()
    # A traceback is the end of what a script has written to stderr.
    if logs and not (trace and logs.endswith(trace[-200:])):
        yield f"<pre>{safe(tail_of(logs))}</pre>"
    if output and (lines := output_lines(output)):
        yield f"<pre>{safe(lines)}</pre>"


def tail_of(text: str) -> str:
    """The end of a text that may be long, in whole lines."""
    lines = text[-_TEXT_CHARS:].splitlines()
    if len(text) > _TEXT_CHARS:
        lines = lines[1:] or [text[-_TEXT_CHARS:]]
    shown = lines[-_TEXT_LINES:]
    # Counted over the whole: what was cut off is what one wants to know of.
    more = text.count("\n") + 1 - len(shown)
    return "\n".join([f"… {more:,} lines before", *shown] if more > 0 else shown)


def output_lines(output: str) -> str:
    """`key = value`, a line a key of an output in JSON; values are cut."""
    try:
        found: Any = orjson.loads(output)
    except orjson.JSONDecodeError:
        return one_line(output, VALUE_CHARS)
    if not isinstance(found, Mapping):
        return _cut(found)
    lines = [f"{one_line(str(key), 60)} = {_cut(value)}" for key, value in found.items()]
    if len(lines) > _MOST_KEYS:
        lines = [*lines[:_MOST_KEYS], f"… {len(lines) - _MOST_KEYS:,} more keys"]
    return "\n".join(lines)


def _cut(value: object) -> str:
    text = orjson.dumps(value).decode("utf-8", "replace")
    return text if len(text) <= VALUE_CHARS else f"{text[: VALUE_CHARS - 1]}…"
