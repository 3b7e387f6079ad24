"""Where a cell runs: its marks, and the order to a worker that they make (pure).

Called by the magic `%%isolated`, and by the gate before each cell.

A cell is marked in four places. The first one that says a key decides it:

    magic      %%isolated --memory 2G --timeout 30 --in a,b
    metadata   {"flow": {"isolated": true, "memory": "2G", "timeout": 30, "in": ["a", "b"]}}
    tag        isolated
    comment    # flow: isolated memory=2G timeout=30 in=a,b    (the first line that is not blank)

A worker and a fresh one exclude one another: the place that decides for one voids the other one of
a lower place. Below the four lie the type of the task and, as a policy, `isolate_all`: marks may
tighten a policy and never loosen it, so nothing makes a cell run here then.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from keyword import iskeyword
from typing import Any, Final, Literal, NamedTuple
from unicodedata import normalize

from flow_kernel.errors import UsageError
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.workers.limits import (
    LEAST_MEMORY_BYTES,
    Limits,
    bytes_of,
    count_of,
    seconds_of,
    shown,
)

globals()["__builtins__"] = FROZEN_BUILTINS

Inputs = tuple[str, ...] | Literal["auto", "none"]
"""Names that are copied to the worker; `auto`: those that the cell reads."""


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
# IPython's own, as `session.isolation.inputs` leaves them out where it chooses.
_SHELLS: Final = frozenset({"In", "Out", "get_ipython", "exit", "quit"})
_WORKER: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}\Z")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a cell runs in a worker.

    Attributes:
        worker: Its name; None for an idle one without a name.
        is_fresh: It is a new one, which ends with the cell.
        inputs: Names that are copied to it.
        outputs: Names that are copied back.
        limits: What the cell may take.
    """

    worker: str | None = None
    is_fresh: bool = False
    inputs: Inputs = "auto"
    outputs: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


_NOTHING: Final = Marks()


def of_magic(line: str) -> Marks:
    """What the line behind `%%isolated` says; it always says whether the cell is isolated.

    Raises:
        UsageError: Something on it is not understood.
    """
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
    said = {key: flow[key] for key in _KEYS if flow.get(key) is not None}
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
    """
    places = (magic or _NOTHING, metadata, tags, comment)
    is_isolated = _first(places, "isolated")
    if magic is not None and magic.isolated is None:
        is_isolated = True
    if not (isolate_all or (by_type if is_isolated is None else is_isolated)):
        return None
    worker, is_fresh = _placement(places)
    inputs, outputs = _first(places, "inputs"), _first(places, "outputs")
    return Order(
        worker=worker,
        is_fresh=is_fresh,
        inputs="auto" if inputs is None else inputs,
        outputs=outputs or (),
        limits=Limits(
            timeout_s=_first(places, "timeout_s"),
            memory_bytes=_first(places, "memory_bytes"),
            cpu_s=_first(places, "cpu_s"),
            processes=_first(places, "processes"),
            output_bytes=_first(places, "output_bytes"),
        ),
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
    if used & {"--worker", "--fresh"}:
        used |= {"--worker", "--fresh"}
    return [o.name for o in OPTIONS if o.name.startswith(begun) and o.name not in used]


def _first(places: tuple[Marks, ...], key: str) -> Any:
    """What the highest place says that says anything."""
    for marks in places:
        value = getattr(marks, key)
        if value is not None:
            return value
    return None


def _placement(places: tuple[Marks, ...]) -> tuple[str | None, bool]:
    """The name of the worker, and whether it is a fresh one."""
    may_be_fresh = True
    for marks in places:
        if marks.worker is not None:
            return marks.worker, False
        if marks.fresh and may_be_fresh:
            return None, True
        may_be_fresh = may_be_fresh and marks.fresh is None
    return None, False


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
        name, read = _KEYS[key]
        try:
            fields[name] = read(value)
        except UsageError as error:
            raise UsageError(f"{spelled.format(key)}: {error.message}", hint=error.hint) from None
    if fields.get("worker") and fields.get("fresh"):
        both = f"{spelled.format('worker')} and {spelled.format('fresh')}"
        raise UsageError(f"{both} exclude one another", hint="a fresh worker has no name")
    return Marks(**fields)


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise UsageError(f"{shown(value)} is neither true nor false")


def _worker(value: object) -> str:
    if isinstance(value, str) and _WORKER.match(value):
        return value
    raise UsageError(
        f"{shown(value)} is no name of a worker",
        hint="at most 40 letters, digits, dots, dashes and underscores, e.g. w1",
    )


def _inputs(value: object) -> Inputs:
    word = value.strip() if isinstance(value, str) else ""
    if word == "auto":
        return "auto"
    return "none" if word == "none" else _names(value) or "none"


def _names(value: object) -> tuple[str, ...]:
    """Names of variables, each once, in the form in which Python keeps them."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list):
        raise UsageError(f"{shown(value)} is no list of names", hint="e.g. a,b")
    return tuple(dict.fromkeys(map(_name, names)))


def _name(value: object) -> str:
    name = normalize("NFKC", value.strip()) if isinstance(value, str) else ""
    if not name.isidentifier() or iskeyword(name):
        raise UsageError(f"{shown(value)} is no name of a variable", hint="e.g. a,b")
    if name in _SHELLS or name[:2] == "__" == name[-2:]:
        raise UsageError(f"{shown(value)} belongs to the shell", hint="it stays where it is")
    return name


_KEYS: Final[dict[str, tuple[str, Callable[[object], object]]]] = {
    "isolated": ("isolated", _truth),
    "worker": ("worker", _worker),
    "fresh": ("fresh", _truth),
    "in": ("inputs", _inputs),
    "out": ("outputs", _names),
    "timeout": ("timeout_s", seconds_of),
    "memory": ("memory_bytes", partial(bytes_of, least=LEAST_MEMORY_BYTES)),
    "cpu": ("cpu_s", seconds_of),
    "processes": ("processes", count_of),
    "output": ("output_bytes", bytes_of),
}
"""Keys as people write them: the field of `Marks` that each is, and what reads its value."""
