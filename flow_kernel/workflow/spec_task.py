"""A workflow out of the steps that a notebook task recorded (pure).

Called by `load`, which offers it to the command line and to the magic.

Each step of the task becomes one script of the cells that ran in it, in the order in which they
ran; a cell that ran again counts as it was the last time. The cells are not changed. What goes from
step to step is found in their code:

    imports, functions, classes    the statement is repeated in each step that uses the name
    other names                    an output of the step that set or changed the name last, and an
                                   input of the step that uses it; the value travels as JSON

What it cannot do is told as a problem with its step: magics and shell commands, code of which a
secret was cut out, values of which it is known that JSON has no such type, names that cells outside
of any step set. What it cannot see: names that are bound by `exec` or `globals()`, files that other
cells made, values inside of objects, and that a tuple comes back as a list.
"""

import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flow_kernel.workers.limits import shown
from flow_kernel.workflow.spec_cells import NoScript, Statement, reads_of, source_of, statements_of
from flow_kernel.workflow.spec_fields import Problems

_JSON_TYPES: Final = frozenset({"int", "float", "str", "bool", "NoneType", "list", "dict", "tuple"})
_OF_A_NOTEBOOK: Final = frozenset({"get_ipython", "display", "In", "Out", "exit", "quit"})
_HEAD: Final = """\
import json as _flow_json
import sys as _flow_sys

with open(
    _flow_sys.argv[_flow_sys.argv.index("--variables-file") + 1], encoding="utf-8"
) as _flow_file:
    _flow_variables = _flow_json.load(_flow_file)
"""


@dataclass(slots=True)
class _Origin:
    """Where a name comes from: a step, or no step; with its source where that is repeated."""

    step: str
    repeated: str = ""
    loads: frozenset[str] = frozenset()
    type: str = ""


@dataclass(slots=True)
class _Part:
    """One step on its way to a script."""

    name: str
    sources: list[str] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    mutated: set[str] = field(default_factory=set)
    types: dict[str, str] = field(default_factory=dict)
    prelude: dict[str, None] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    """The step that each of them comes from."""
    outputs: set[str] = field(default_factory=set)


def steps_of_task(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The definition that the recorded steps of one task make.

    Args:
        records: Those of the task, in the order in which they were written.

    Returns:
        What `spec.parse` takes; steps run one after the other.

    Raises:
        WorkflowInvalid: Steps cannot be scripts; all reasons are listed.
    """
    records = list(records)
    problems = Problems()
    parts, outside = _parts(records, problems)
    if not parts and not problems:
        problems.add("", 'no cell ran in a step; begin one with "%task step NAME" or "%%step NAME"')
    _connect(parts, outside, problems)
    title = _title(records)
    if problems:
        problems.refuse(title)
    ids = {part.name for part in parts}
    return {
        "name": title,
        "description": "Recorded in a notebook.",
        "steps": [_step(part, ids) for part in parts],
    }


def _title(records: Iterable[Mapping[str, Any]]) -> str:
    title = "task"
    for record in records:
        if record.get("kind") == "task" and record.get("name"):
            return str(record["name"])
        title = str(record.get("task_id", title))
    return title


def _parts(records: Iterable[Mapping[str, Any]], problems: Problems) -> tuple[list[_Part], _Part]:
    """The steps in the order of their first cell, and the cells that belong to none."""
    cells: dict[tuple[object, ...], Mapping[str, Any]] = {}
    for number, record in enumerate(records):
        if record.get("kind") == "cell" and record.get("success"):
            cell_id = record.get("cell_id")
            key = (record.get("step"), cell_id) if cell_id else (number,)
            # Again, and at its new place: what it needs may have been made in between.
            cells.pop(key, None)
            cells[key] = record
    parts: dict[str, _Part] = {}
    outside = _Part("")
    for record in cells.values():
        step = record.get("step")
        code = str(record.get("code", ""))
        if not step:
            # The body of such a cell is a record of its own.
            if not code.lstrip().startswith("%%step"):
                _take(outside, record, code, None)
            continue
        part = parts.setdefault(str(step), _Part(str(step)))
        _take(part, record, code, problems)
    return [part for part in parts.values() if part.sources], outside


def _take(part: _Part, record: Mapping[str, Any], code: str, problems: Problems | None) -> None:
    """Add a cell to its step. Of cells outside of steps nobody is told what is wrong with them."""
    try:
        source = source_of(code, is_cut="code" in (record.get("truncated") or {}))
        found = list(statements_of(source)) if source else []
    except NoScript as error:
        if problems is not None:
            count = record.get("execution_count")
            where = f"step {shown(part.name)}" + (f", In [{count}]" if count else "")
            problems.add(where, str(error))
        return
    if not found:
        return
    part.sources.append(source)
    part.statements += found
    part.mutated.update(record.get("mutated_vars") or ())
    for name, facts in (record.get("vars") or {}).items():
        if isinstance(facts, Mapping):
            part.types[name] = str(facts.get("type", ""))


def _connect(parts: Iterable[_Part], outside: _Part, problems: Problems) -> None:
    """Find where each name comes from, step by step."""
    by_name = {part.name: part for part in parts}
    origins: dict[str, _Origin] = {}
    _note(outside, origins)
    for part in by_name.values():
        own = {name for each in part.statements for name in each.stores}
        for name in reads_of(part.sources):
            _resolve(name, part, origins, own=own, problems=problems)
        for name, source in part.inputs.items():
            by_name[source].outputs.add(name)
        _note(part, origins)


def _resolve(
    name: str, part: _Part, origins: Mapping[str, _Origin], *, own: set[str], problems: Problems
) -> None:
    """Make an input, or a line of the prelude, of a name that a step reads and does not bind."""
    todo, seen = [name], {name}
    lines: list[str] = []
    while todo:
        each = todo.pop()
        origin = origins.get(each)
        where = f"step {shown(part.name)}"
        if origin is None:
            if each in _OF_A_NOTEBOOK and each not in own:
                problems.add(where, f"reads {shown(each)}, which notebooks alone have")
        elif origin.repeated:
            lines.append(origin.repeated)
            more = [name for name in sorted(origin.loads) if name not in seen]
            seen.update(more)
            todo += more
        elif not origin.step:
            if not hasattr(builtins, each):
                problems.add(where, f"reads {shown(each)}, which a cell outside of any step sets")
        elif origin.type and origin.type not in _JSON_TYPES:
            said = f"which step {shown(origin.step)} sets: {shown(origin.type)} is no type of JSON"
            problems.add(where, f"reads {shown(each)}, {said}; write it to a file")
        else:
            part.inputs[each] = origin.step
    # What a function needs stands before it.
    for line in reversed(lines):
        part.prelude.setdefault(line)


def _note(part: _Part, origins: dict[str, _Origin]) -> None:
    """What later steps find after this one."""
    for statement in part.statements:
        for name in statement.stores:
            origins[name] = _Origin(
                part.name,
                repeated=statement.repeated,
                loads=statement.loads,
                type="" if statement.repeated else part.types.get(name, ""),
            )
    for name in part.mutated:
        # A list that was appended to is another one for later steps.
        found = origins.get(name)
        if found is not None and found.step and not found.repeated:
            origins[name] = _Origin(part.name, type=part.types.get(name, found.type))


def _step(part: _Part, ids: set[str]) -> dict[str, Any]:
    said: dict[str, Any] = {"name": part.name, "step_type": "PYTHON_SCRIPT", "code": _script(part)}
    if part.inputs:
        said["input_mapping"] = {name: _variable(name, ids) for name in part.inputs}
    if part.outputs:
        said["output_mapping"] = {_variable(name, ids): name for name in sorted(part.outputs)}
    return said


def _variable(name: str, ids: set[str]) -> str:
    """The variable of the workflow for a name; under the id of a step stands its output."""
    while name in ids:
        name += "_value"
    return name


def _script(part: _Part) -> str:
    lines = [_HEAD, *part.prelude, *(f'{n} = _flow_variables["{n}"]' for n in part.inputs)]
    outputs = ", ".join(f'"{name}": {name}' for name in sorted(part.outputs))
    # A cell may have left the line open.
    last = f'print("\\n" + _flow_json.dumps({{{outputs}}}))'
    return "\n".join((*lines, "", "\n\n".join(part.sources), "", last, ""))
