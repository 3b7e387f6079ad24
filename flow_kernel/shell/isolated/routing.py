"""Where a cell runs: its marks, and the order to a worker that they make (pure).

Called by the magic `%%isolated`, and by the gate before each cell.

A cell is marked in four places. The first one that says a key decides it:

    magic      %%isolated --memory 2G --timeout 30 --in a,b
    metadata   {"flow": {"isolated": true, "memory": "2G", "timeout": 30, "in": ["a", "b"]}}
    tag        isolated
    comment    # flow: isolated memory=2G timeout=30 in=a,b    (the first line that is not blank)

`requirements` are for metadata alone: {"cpu": 2, "memory": "4G", "disk": "10G"} have to be there
before the cell begins, and are promised to it. (`cpu` beside it is a limit, in seconds.)

A worker and a fresh one exclude one another: the place that decides for one voids the other one of
a lower place. Below the four lie the type of the task and, as a policy, `isolate_all`: marks may
tighten a policy and never loosen it, so nothing makes a cell run here then.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from flow_kernel.errors import UsageError
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.isolated.routing_values import KEYS, Inputs
from flow_kernel.workers.limits import Limits, Requirements, shown

globals()["__builtins__"] = FROZEN_BUILTINS


class Option(NamedTuple):
    """An option of `%%isolated`: its name, a hint at its value (empty for a flag), what it does."""

    name: str
    value: str
    help: str


OPTIONS: Final = (
    Option("--worker", "NAME", "run in the worker of that name, which keeps its variables"),
    Option("--fresh", "", "run in a new worker, which ends with the cell"),
    Option("--in", "auto|none|A,B", "names to copy to the worker; auto: those that the cell reads"),
    Option("--out", "X,Y", "names to copy back"),
    Option("--timeout", "30", "most time, in seconds; also 90s, 10m, 1h"),
    Option("--memory", "2G", "most memory, in bytes; also 512M, 1.5GiB"),
    Option("--cpu", "60", "most computing time, in seconds; also 10m, 1h"),
    Option("--processes", "N", "most processes at a time"),
    Option("--output", "50M", "most that the cell may print"),
    Option("--fork", "", "run in a copy of the session: it sees every variable, changes none"),
    Option("--shell", "", "the cell is a script of bash; at most 300 s unless --timeout says more"),
    Option("--bg", "", "go on at once; its output still arrives here: await it, cancel it"),
    Option("--priority", "N", "of cells that wait for a worker the greatest first; 0 otherwise"),
    Option("--idempotent", "", "may run twice: if its worker dies, it runs again, in a new one"),
    Option("--no", "", "run the cell here, whatever its other marks say"),
)


class _Notation(NamedTuple):
    """How keys are written in one place.

    Attributes:
        kind: What a key is there, for messages.
        values: Each key as it is written, and a hint at its value; empty for a flag.
        joint: Between a key and its value.
    """

    kind: str
    values: Mapping[str, str]
    joint: str

    def hint(self) -> str:
        """Everything that can be written."""
        keys = [f"{k}{self.joint}{v}" if v else k for k, v in self.values.items()]
        return f"known are {', '.join(keys)}"


_MAGIC: Final = _Notation("option", {o.name: o.value for o in OPTIONS}, " ")
_COMMENT: Final = _Notation(
    'word of "# flow:"',
    {"isolated": "", "local": "", **{o.name[2:]: o.value for o in OPTIONS if o.name != "--no"}},
    "=",
)
_COMMENT_LINE: Final = re.compile(r"\s*#[ \t]*flow:(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What one place says of a cell; None where it says nothing."""

    isolated: bool | None = None
    worker: str | None = None
    fresh: bool | None = None
    inputs: Inputs | None = None
    outputs: tuple[str, ...] | None = None
    timeout_s: float | None = None
    memory_bytes: int | None = None
    cpu_s: float | None = None
    processes: int | None = None
    output_bytes: int | None = None
    fork: bool | None = None
    shell: bool | None = None
    background: bool | None = None
    priority: int | None = None
    idempotent: bool | None = None
    needs: Requirements | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a cell runs in a worker.

    Attributes:
        worker: Its name; None for an idle one without a name.
        is_fresh: It is a new one, which ends with the cell.
        inputs: Names that are copied to it.
        outputs: Names that are copied back.
        limits: What the cell may take.
        needs: What has to be there before it begins.
        is_fork: It runs in a copy of the session.
        is_shell: It is a script of bash.
        is_background: Nobody waits for it.
        priority: Among those that wait for a worker; the greatest first.
        is_idempotent: It runs again where its worker has died.
    """

    worker: str | None = None
    is_fresh: bool = False
    is_fork: bool = False
    is_shell: bool = False
    is_background: bool = False
    priority: int = 0
    is_idempotent: bool = False
    inputs: Inputs = "auto"
    outputs: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    needs: Requirements = field(default_factory=Requirements)


SCRIPT_TIMEOUT_S: Final = 300.0
"""A script gets so long where nothing is said."""
_NOTHING: Final = Marks()
_UNNAMED: Final = ("fresh", "fork")
"""Marks of workers that nobody asks for again."""
_EXCLUSIVE: Final = (
    ("worker", "fresh", "a fresh worker has no name"),
    ("worker", "fork", "a copy of the session is a new one each time"),
    ("fresh", "fork", "a copy of the session is a new one each time"),
    ("fork", "shell", "a script of bash sees no variables"),
    ("fork", "idempotent", "a copy of the session is made once"),
    ("fork", "bg", "a copy of the session lives as long as its cell runs"),
)
"""Keys that cannot be in one place, and why."""


def of_magic(line: str) -> Marks:
    """What the line behind `%%isolated` says; it always says whether the cell is isolated.

    Raises:
        UsageError: Something on it is not understood.
    """
    if not line.strip():
        return Marks(isolated=True)
    written = _read(_options(_words(line, _MAGIC)), _MAGIC)
    said = {name[2:]: value for name, value in written.items()}
    is_here = said.pop("no", False)
    return _marks({**said, "isolated": not is_here}, "--{}")


def of_metadata(metadata: object) -> Marks:
    """What the metadata of a cell says under `flow`; keys that are not ours are left alone.

    Raises:
        UsageError: A key of ours has an ill-formed value.
    """
    flow = metadata.get("flow") if type(metadata) is dict else None
    if type(flow) is not dict:
        return _NOTHING
    said = {key: flow[key] for key in KEYS if flow.get(key) is not None}
    return _marks(said, 'metadata "flow.{}"') if said else _NOTHING


def of_tags(metadata: object) -> Marks:
    """What the tags in the metadata of a cell say."""
    tags = metadata.get("tags") if type(metadata) is dict else None
    return Marks(isolated=True) if type(tags) is list and "isolated" in tags else _NOTHING


def of_comment(source: str) -> Marks:
    """What a comment `# flow: …` says in the first line of a cell that is not blank.

    Raises:
        UsageError: Something behind `# flow:` is not understood.
    """
    line = _COMMENT_LINE.match(source)
    if line is None:
        return _NOTHING
    pairs = (word.partition("=") for word in _words(line[1], _COMMENT))
    said = _read(((key, value if equals else None) for key, equals, value in pairs), _COMMENT)
    if said.pop("local", False):
        if "isolated" in said:
            raise UsageError('"# flow:" says isolated and local', hint="say one of them")
        said["isolated"] = False
    return _marks(said, '"# flow:" {}')


def resolve(
    magic: Marks | None,
    metadata: Marks,
    tags: Marks,
    comment: Marks,
    *,
    by_type: bool,
    isolate_all: bool,
) -> Order | None:
    """How the cell runs in a worker; None when it runs here.

    Args:
        magic: None without `%%isolated`.
        metadata: Of the cell.
        tags: In its metadata.
        comment: In its first line.
        by_type: The task that is open has a type whose cells are isolated.
        isolate_all: The policy of the session isolates each cell.

    Raises:
        UsageError: It cannot be a script of bash.
    """
    places = (magic or _NOTHING, metadata, tags, comment)
    is_isolated = _first(places, "isolated")
    if magic is not None and magic.isolated is None:
        is_isolated = True
    is_shell = bool(_first(places, "shell"))
    if not (isolate_all or (by_type if is_isolated is None else is_isolated)):
        if is_shell:
            raise UsageError("a script of bash runs in a worker only", hint="say isolated as well")
        return None
    worker, kind = _placement(places)
    is_background = bool(_first(places, "background"))
    if is_background and kind == "fork":
        raise UsageError(
            "fork and bg exclude one another",
            hint="a copy of the session lives as long as its cell runs",
        )
    needs = _first(places, "needs")
    if needs is not None and kind == "fork":
        raise UsageError(
            "fork and requirements exclude one another",
            hint="a copy of the session waits for nothing: it has begun already",
        )
    inputs, outputs = _first(places, "inputs"), _first(places, "outputs")
    timeout_s = _first(places, "timeout_s")
    if is_shell:
        _refuse_variables(kind, inputs, outputs)
        inputs, timeout_s = "none", timeout_s or SCRIPT_TIMEOUT_S
    return Order(
        worker=worker,
        is_fresh=kind == "fresh",
        is_fork=kind == "fork",
        is_shell=is_shell,
        is_background=is_background,
        priority=_first(places, "priority") or 0,
        is_idempotent=bool(_first(places, "idempotent")),
        inputs="auto" if inputs is None else inputs,
        outputs=outputs or (),
        limits=Limits(
            timeout_s=timeout_s,
            memory_bytes=_first(places, "memory_bytes"),
            cpu_s=_first(places, "cpu_s"),
            processes=_first(places, "processes"),
            output_bytes=_first(places, "output_bytes"),
        ),
        needs=needs or Requirements(),
    )


def help_text() -> str:
    """The options of `%%isolated`, one a line."""
    heads = [f"{option.name} {option.value}".strip() for option in OPTIONS]
    width = max(map(len, heads))
    rows = zip(heads, OPTIONS, strict=True)
    return "\n".join(f"  {head.ljust(width)}  {option.help}" for head, option in rows)


def complete(line: str) -> list[str]:
    """Options that may stand where `line` ends, which begins with the magic or behind it."""
    words = line.split()
    begun = words.pop() if words and not line[-1:].isspace() else ""
    if words and _MAGIC.values.get(words[-1]):
        return []  # a value comes next
    used = {word.partition("=")[0] for word in words}
    for one, other, _ in _EXCLUSIVE:
        if f"--{one}" in used:
            used.add(f"--{other}")
        elif f"--{other}" in used:
            used.add(f"--{one}")
    return [o.name for o in OPTIONS if o.name.startswith(begun) and o.name not in used]


def _first(places: tuple[Marks, ...], key: str) -> Any:
    """What the highest place says that says anything."""
    for marks in places:
        value = getattr(marks, key)
        if value is not None:
            return value
    return None


def _placement(places: tuple[Marks, ...]) -> tuple[str | None, str]:
    """The name of the worker; for none, whether it is a fresh one or a copy of the session."""
    voided: set[str] = set()
    for marks in places:
        if marks.worker is not None:
            return marks.worker, ""
        for kind in _UNNAMED:
            said = getattr(marks, kind)
            if said and kind not in voided:
                return None, kind
            if said is not None:
                voided.add(kind)
    return None, ""


def _refuse_variables(kind: str, inputs: Inputs | None, outputs: tuple[str, ...] | None) -> None:
    """Refuse what a script cannot be given, and cannot give."""
    why = "a script of bash has no variables of Python"
    if outputs:
        raise UsageError(f"{why}: --out gives nothing", hint="have it write a file, and read that")
    if isinstance(inputs, tuple):
        raise UsageError(f"{why}: --in brings nothing", hint="set os.environ, or write a file")
    if kind == "fork":
        raise UsageError(f"{why}: a copy of the session is of no use", hint="leave out fork")


def _words(line: str, notation: _Notation) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise UsageError(
            f"a quote or a backslash in {shown(line)} has no end", hint=notation.hint()
        ) from None


def _options(words: list[str]) -> Iterator[tuple[str, str | None]]:
    """Each option with its value, whether a blank or a `=` is between them."""
    todo = words[::-1]
    while todo:
        name, equals, value = todo.pop().partition("=")
        if equals:
            yield name, value
        elif _MAGIC.values.get(name) and todo and not todo[-1].startswith("--"):
            yield name, todo.pop()
        else:
            yield name, None


def _read(pairs: Iterator[tuple[str, str | None]], notation: _Notation) -> dict[str, object]:
    """Each key once, with its value, or True for a flag."""
    said: dict[str, object] = {}
    for key, value in pairs:
        if key not in notation.values:
            raise _unknown(key, notation)
        example = notation.values[key]
        if key in said:
            raise UsageError(f"{key} is given twice", hint=notation.hint())
        if value is not None and not example:
            raise UsageError(f"{key} takes no value", hint=notation.hint())
        if not value and example:
            raise UsageError(
                f"{key} takes a value, e.g. {key}{notation.joint}{example}", hint=notation.hint()
            )
        said[key] = value if example else True
    return said


def _unknown(key: str, notation: _Notation) -> UsageError:
    from difflib import get_close_matches  # only a typing error needs it

    bare = {known.lstrip("-"): known for known in notation.values}
    near = get_close_matches(key.lstrip("-").casefold()[:40], bare, n=1)
    meant = f"did you mean {bare[near[0]]}? " if near else ""
    return UsageError(f"{shown(key)} is no {notation.kind}", hint=f"{meant}{notation.hint()}")


def _marks(said: Mapping[str, object], spelled: str) -> Marks:
    """The values of keys as marks; `spelled` is how messages write a key."""
    fields: dict[str, Any] = {}
    for key, value in said.items():
        name, read = KEYS[key]
        try:
            fields[name] = read(value)
        except UsageError as error:
            raise UsageError(f"{spelled.format(key)}: {error.message}", hint=error.hint) from None
    for one, other, hint in _EXCLUSIVE:
        if fields.get(KEYS[one][0]) and fields.get(KEYS[other][0]):
            both = f"{spelled.format(one)} and {spelled.format(other)}"
            raise UsageError(f"{both} exclude one another", hint=hint)
    return Marks(**fields)
