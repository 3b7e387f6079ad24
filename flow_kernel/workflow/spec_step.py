"""One step of a definition, read without regard to the others (pure).

Called by `spec` for each step; what depends on other steps (needs, order, handlers) is kept as it
was written and resolved in `spec_order`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from flow_kernel.workers.limits import (
    LEAST_MEMORY_BYTES,
    bytes_of,
    cores_of,
    seconds_of,
    shown,
)
from flow_kernel.workflow import conditions
from flow_kernel.workflow.model import (
    DEFAULT_TIMEOUT_S,
    OnError,
    Resources,
    Retries,
    StepType,
)
from flow_kernel.workflow.spec_fields import (
    Problems,
    at,
    read_amount,
    read_flag,
    read_keys,
    read_name,
    read_text,
    read_whole,
    wrong_with_id,
    wrong_with_name,
    wrong_with_variable,
)

LONGEST_S: Final = 10 * 366 * 86400.0
"""How long an approval waits where nothing was said: a question is not lost over a weekend."""

MOST_ORDER: Final = 1_000_000
STEP_KEYS: Final = (
    "id", "name", "step_type", "order", "needs", "code", "file", "message", "input_mapping",
    "output_mapping", "timeout", "retries", "when", "cache", "resources", "on_error",
)  # fmt: skip

_RETRY_KEYS: Final = ("most", "count", "delay", "backoff", "max_delay")
_RESOURCE_KEYS: Final = ("cpu", "memory", "isolation")
_MOST_RETRIES: Final = 1000
# The 64th power of it, times ten years, is still a float.
_MOST_BACKOFF: Final = 10.0
_ISOLATION: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,49}\Z")
_TYPES: Final = {kind.value: kind for kind in StepType}


@dataclass(slots=True, kw_only=True)
class Draft:
    """A step on its way: what was written of it, with the place for messages."""

    place: str
    id: str = ""
    id_place: str = ""
    name: str = ""
    step_type: StepType = StepType.PYTHON_SCRIPT
    order: int | None = None
    needs: tuple[object, ...] | None = None
    code: str | None = None
    file: str | None = None
    input_mapping: dict[str, str] = field(default_factory=dict)
    output_mapping: dict[str, str] = field(default_factory=dict)
    timeout_s: float = DEFAULT_TIMEOUT_S
    retries: Retries = field(default_factory=Retries)
    when: str = ""
    is_cached: bool = False
    resources: Resources = field(default_factory=Resources)
    on_error: OnError = OnError.STOP
    handler: str = ""


def read_step(value: object, number: int, problems: Problems) -> Draft:
    """The step at position `number`, from 0."""
    place = f"steps[{number}]"
    said = read_keys(value, place, STEP_KEYS, problems)
    draft = Draft(place=place)
    if not isinstance(value, Mapping):
        return draft
    _read_names(said, draft, number, problems)
    if "step_type" in said:
        draft.step_type = _read_type(said["step_type"], f"{place}.step_type", problems)
    if "order" in said:
        draft.order = read_whole(
            said["order"], f"{place}.order", problems, least=1, most=MOST_ORDER
        )
    if "needs" in said:
        draft.needs = _read_needs(said["needs"], f"{place}.needs", problems)
    _read_source(said, draft, problems)
    _read_mappings(said, draft, problems)
    _read_terms(said, draft, problems)
    return draft


def _read_names(said: Mapping[str, object], draft: Draft, number: int, problems: Problems) -> None:
    place = draft.place
    draft.id_place = f"{place}.id" if "id" in said or "name" not in said else f"{place}.name"
    if "name" in said:
        draft.name = read_name(said["name"], f"{place}.name", problems)
    if "id" in said:
        written = said["id"]
        wrong = (
            wrong_with_id(written)
            if isinstance(written, str)
            else f"must be text, not {shown(written)}"
        )
        if wrong:
            problems.add(draft.id_place, wrong)
        elif isinstance(written, str):
            draft.id = written
    elif draft.name:
        draft.id = re.sub(r"[./]+", "-", draft.name).strip()
        wrong = wrong_with_id(draft.id)
        if wrong:
            problems.add(draft.id_place, wrong)
    elif "name" not in said:
        draft.id = f"step-{number + 1}"
    draft.name = draft.name or draft.id


def _read_type(value: object, place: str, problems: Problems) -> StepType:
    if isinstance(value, str) and value.upper() in _TYPES:
        return _TYPES[value.upper()]
    near = problems.nearest(value, _TYPES) if isinstance(value, str) else ""
    known = ", ".join(_TYPES)
    problems.add(place, f"{shown(value)} is none of {known}{near}")
    return StepType.PYTHON_SCRIPT


def _read_needs(value: object, place: str, problems: Problems) -> tuple[object, ...]:
    if isinstance(value, list | tuple):
        return tuple(value)
    hint = f"; try [{shown(value)}]" if isinstance(value, str) else ""
    problems.add(place, f"must be a list of ids of steps, not {shown(value)}{hint}")
    return ()


def _read_source(said: Mapping[str, object], draft: Draft, problems: Problems) -> None:
    """Which of `code`, `file` and `message` there is; files are read by `spec_sources`."""
    place = draft.place
    kind = draft.step_type
    given = [key for key in ("code", "file", "message") if key in said]
    allowed = {
        StepType.NOTEBOOK: ("file",),
        StepType.APPROVAL: ("message", "code"),
    }.get(kind, ("code", "file"))
    for key in given:
        if key not in allowed:
            problems.add(f"{place}.{key}", f"a step of type {kind} has {' or '.join(allowed)}")
    kept = [key for key in given if key in allowed]
    if len(kept) > 1:
        problems.add(f"{place}.{kept[1]}", f"there is {kept[0]} too; a step has one of them")
    if not given:
        problems.add(place, f"has no {' or '.join(allowed)}")
    if not kept:
        # One problem is enough: nothing further is said of the code of this step.
        draft.code = None
        return
    key = kept[0]
    if key == "file":
        draft.file = read_name(said["file"], f"{place}.file", problems) or None
        return
    text = said[key]
    if not isinstance(text, str):
        problems.add(f"{place}.{key}", f"must be text, not {shown(text)}")
    elif not text.strip():
        problems.add(f"{place}.{key}", "is empty")
    else:
        draft.code = text


def _read_mappings(said: Mapping[str, object], draft: Draft, problems: Problems) -> None:
    if "input_mapping" in said:
        place = f"{draft.place}.input_mapping"
        for name, source in _pairs(said["input_mapping"], place, problems).items():
            if _is_path(source):
                draft.input_mapping[name] = source
            else:
                wrong = f"{shown(source)} names no variable; try a name, STEP or STEP.key"
                problems.add(at(place, name), wrong)
    if "output_mapping" in said:
        place = f"{draft.place}.output_mapping"
        for name, key in _pairs(said["output_mapping"], place, problems).items():
            wrong = wrong_with_name(key)
            if wrong:
                problems.add(at(place, name), f"the key of the output {wrong}")
            else:
                draft.output_mapping[name] = key


def _pairs(value: object, place: str, problems: Problems) -> dict[str, str]:
    """A mapping of names that scripts can have to texts."""
    if not isinstance(value, Mapping):
        problems.add(place, f"must be an object, not {shown(value)}")
        return {}
    read: dict[str, str] = {}
    for name, each in value.items():
        wrong = (
            wrong_with_variable(name)
            if isinstance(name, str)
            else f"a name must be text, not {shown(name)}"
        )
        if wrong:
            problems.add(place, wrong)
        elif not isinstance(each, str):
            problems.add(at(place, name), f"must be text, not {shown(each)}")
        else:
            read[name] = each
    return read


def _is_path(text: str) -> bool:
    """True of `variable`, `step` and `step.key`; an id may hold blanks, but no part is empty."""
    if wrong_with_name(text):
        return False
    return "." not in text or all(part.strip() for part in text.split("."))


def _read_terms(said: Mapping[str, object], draft: Draft, problems: Problems) -> None:
    """When a step runs, for how long, how often, with what, and what becomes of its failure."""
    place = draft.place
    if "timeout" in said:
        draft.timeout_s = read_amount(
            said["timeout"], f"{place}.timeout", problems, reader=seconds_of
        )
    elif draft.step_type is StepType.APPROVAL:
        draft.timeout_s = LONGEST_S
    if "retries" in said:
        draft.retries = _read_retries(said["retries"], f"{place}.retries", problems)
    if "when" in said:
        draft.when = _read_when(said["when"], f"{place}.when", problems)
    if "cache" in said:
        draft.is_cached = read_flag(said["cache"], f"{place}.cache", problems)
    if "resources" in said:
        draft.resources = _read_resources(said["resources"], f"{place}.resources", problems)
    if "on_error" in said:
        draft.on_error, draft.handler = _read_on_error(
            said["on_error"], f"{place}.on_error", problems
        )


def _read_when(value: object, place: str, problems: Problems) -> str:
    text = read_text(value, place, problems)
    if not text:
        return ""
    for wrong in conditions.check(text):
        problems.add(place, wrong)
    return text.strip()


def _read_retries(value: object, place: str, problems: Problems) -> Retries:
    if not isinstance(value, Mapping):
        return Retries(most=read_whole(value, place, problems, least=0, most=_MOST_RETRIES))
    said = read_keys(value, place, _RETRY_KEYS, problems)
    if "most" in said and "count" in said:
        problems.add(f"{place}.count", 'there is "most" too, which says the same')
    counted = "most" if "most" in said else "count"
    if counted not in said:
        problems.add(place, 'has no "most": how often to try again')
    standard = Retries()
    return Retries(
        most=read_whole(
            said.get(counted, 0), f"{place}.{counted}", problems, least=0, most=_MOST_RETRIES
        ),
        delay_s=_wait(said, "delay", standard.delay_s, place, problems),
        backoff=_read_backoff(said.get("backoff", standard.backoff), place, problems),
        most_delay_s=_wait(said, "max_delay", standard.most_delay_s, place, problems),
    )


def _wait(
    said: Mapping[str, object], key: str, default: float, place: str, problems: Problems
) -> float:
    value = said.get(key, default)
    # No wait at all is a wait; the reader of durations refuses it.
    if not isinstance(value, bool) and value == 0:
        return 0.0
    return read_amount(value, f"{place}.{key}", problems, reader=seconds_of)


def _read_backoff(value: object, place: str, problems: Problems) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, int | float) and is_number and 1 <= value <= _MOST_BACKOFF:
        return float(value)
    problems.add(f"{place}.backoff", f"must be a number from 1 to 10, not {shown(value)}")
    return 1.0


def _read_resources(value: object, place: str, problems: Problems) -> Resources:
    said = read_keys(value, place, _RESOURCE_KEYS, problems)
    cpu = memory = 0.0
    isolation = ""
    if "cpu" in said:
        cpu = read_amount(said["cpu"], f"{place}.cpu", problems, reader=cores_of)
    if "memory" in said:
        memory = read_amount(
            said["memory"],
            f"{place}.memory",
            problems,
            reader=lambda each: bytes_of(each, least=LEAST_MEMORY_BYTES),
        )
    if "isolation" in said:
        isolation = read_name(said["isolation"], f"{place}.isolation", problems)
        if isolation and not _ISOLATION.match(isolation):
            problems.add(f"{place}.isolation", f"{shown(isolation)} cannot name an executor")
    return Resources(cpu=cpu, memory_bytes=int(memory), isolation=isolation)


def _read_on_error(value: object, place: str, problems: Problems) -> tuple[OnError, str]:
    """What was written, and the id of the handler; whether there is such a step is seen later."""
    if isinstance(value, Mapping):
        said = read_keys(value, place, ("goto",), problems)
        target = said.get("goto")
        if isinstance(target, str) and target.strip():
            return OnError.GOTO, target.strip()
        problems.add(f"{place}.goto", f"must be the id of a step, not {shown(target)}")
        return OnError.STOP, ""
    if isinstance(value, str):
        head, colon, target = value.partition(":")
        word = head.strip().lower()
        if word == "goto" and target.strip():
            return OnError.GOTO, target.strip()
        if not colon and word in (OnError.STOP, OnError.CONTINUE):
            return OnError(word), ""
    known: Collection[str] = ("stop", "continue", "goto:HANDLER")
    near = problems.nearest(value, known) if isinstance(value, str) else ""
    problems.add(place, f"{shown(value)} is none of stop, continue and goto:HANDLER{near}")
    return OnError.STOP, ""
