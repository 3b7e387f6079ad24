"""A task in lines of text, the same in a terminal, a notebook and a report (pure).

Called by `shell.task_display` and by `jupyter flow task`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flow_kernel.records.plain import human_ms, one_line, strip_controls
from flow_kernel.session.flow import TaskView
from flow_kernel.store.contract import StepRow, TaskRow

MARKS: Final = {
    "planned": "·",
    "todo": "·",
    "doing": "▸",
    "waiting": "⏸",
    "done": "✓",
    "failed": "✗",
    "cancelled": "–",
}
_WIDTH: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """One step as it is shown.

    Attributes:
        state: planned, doing, done or failed.
        depth: How many steps it lies in.
        name: Safe to print.
        note: How long it took, or why it failed.
    """

    state: str
    depth: int
    name: str
    note: str


def title_of(task: TaskRow) -> str:
    """`T-0001 Clean the data`."""
    return f"{task.task_id} {one_line(task.name, _WIDTH)}"


def state_of(view: TaskView) -> str:
    """`doing · 2 of 4 steps · 1.2 s`, as far as it is known."""
    task = view.task
    parts = [task.status if not task.reason else f"{task.status}: {one_line(task.reason, 60)}"]
    if view.steps:
        done = sum(step.state == "done" for step in view.steps)
        parts.append(f"{done} of {len(view.steps)} steps")
    took = took_text(task.started_at, task.ended_at)
    return " · ".join([*parts, took] if took else parts)


def step_lines(steps: Iterable[StepRow]) -> list[StepLine]:
    """The steps in order, each with its depth."""
    depths: dict[int, int] = {}
    found = []
    for step in steps:
        depths[step.number] = depths.get(step.parent, -1) + 1 if step.parent is not None else 0
        parts = [took_text(step.started_at, step.ended_at), one_line(step.reason, 60)]
        if not step.is_planned:
            parts.append("not planned")
        found.append(
            StepLine(
                state=step.state,
                depth=depths[step.number],
                name=one_line(step.name, _WIDTH),
                note=" · ".join(part for part in parts if part),
            )
        )
    return found


def context_lines(context: dict[str, object], *, width: int = _WIDTH) -> list[str]:
    """`key = value`, one a line."""
    return [f"{strip_controls(key)} = {one_line(repr(v), width)}" for key, v in context.items()]


def took_text(started_at: str | None, ended_at: str | None) -> str:
    """How long something took, or nothing while it is not over."""
    if started_at is None or ended_at is None:
        return ""
    took = datetime.fromisoformat(ended_at) - datetime.fromisoformat(started_at)
    return human_ms(max(took.total_seconds() * 1000, 0))


def as_document(view: TaskView, *, cells: int = 0, failures: int = 0) -> dict[str, object]:
    """The task for programs, as `--json` prints it."""
    return {
        **task_document(view.task, tags=view.tags, cells=cells, failures=failures),
        "steps": [
            {
                "number": step.number,
                "name": step.name,
                "state": step.state,
                "is_planned": step.is_planned,
                "parent": step.parent,
                "reason": step.reason,
                "started_at": step.started_at,
                "ended_at": step.ended_at,
            }
            for step in view.steps
        ],
        "context": view.context,
    }


def task_document(
    task: TaskRow, *, tags: list[str], cells: int, failures: int
) -> dict[str, object]:
    """One item of `jupyter flow tasks --json`."""
    return {
        "plan_id": task.plan_id,
        "task_id": task.task_id,
        "name": task.name,
        "description": task.description,
        "status": task.status,
        "reason": task.reason,
        "type": task.type,
        "tags": tags,
        "parent_id": task.parent_id,
        "created_at": task.created_at,
        "started_at": task.started_at,
        "ended_at": task.ended_at,
        "cells": cells,
        "failures": failures,
    }
