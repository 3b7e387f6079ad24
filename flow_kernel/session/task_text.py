"""A task in words, the same in a terminal, a notebook and a report (pure).

Called by `session.formatter`, through which everything that shows a task asks for its texts.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from flow_kernel.records.plain import counted, human_ms, one_line, strip_controls
from flow_kernel.session.flow import TaskView
from flow_kernel.session.progress import Progress
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


class TaskFormatter:
    """The texts of a task, one method each; a subclass replaces what it likes.

    Each returns one line. What a screen cannot show is taken out of it, and a line that is too long
    is cut; HTML is escaped. A method that raises is stood in for by the one here.
    """

    def title(self, task: TaskRow) -> str:
        """`T-0001 Clean the data`."""
        return f"{task.task_id} {one_line(task.name, _WIDTH)}"

    def state(self, view: TaskView) -> str:
        """`doing · 2 of 4 steps · 1.2 s`, as far as it is known."""
        task = view.task
        parts = [task.status if not task.reason else f"{task.status}: {one_line(task.reason, 60)}"]
        if view.steps:
            done = sum(step.state == "done" for step in view.steps)
            parts.append(f"{done} of {len(view.steps)} steps")
        took = took_text(task.started_at, task.ended_at)
        return " · ".join([*parts, took] if took else parts)

    def kind(self, task: TaskRow, *, is_isolated: bool) -> str:
        """The type of a task.

        Args:
            task: The task.
            is_isolated: True where the settings list its type as isolated by default.
        """
        if not is_isolated:
            return task.type
        return f"{task.type}, its cells run in a worker unless they are marked otherwise"

    def step(self, step: StepRow) -> str:
        """The name of a step."""
        return step.name

    def step_note(self, step: StepRow) -> str:
        """How long a step took, why it failed, and whether it was planned."""
        parts = [took_text(step.started_at, step.ended_at), one_line(step.reason, 60)]
        if not step.is_planned:
            parts.append("not planned")
        return " · ".join(part for part in parts if part)

    def progress(self, progress: Progress) -> str:
        """`3/12 · 25 % · 4.2 s left`."""
        return progress.note()

    def summary(self, view: TaskView, *, cells: int, failures: int) -> str:
        """`12 cells, 1 failed`: how much was run for a task."""
        told = counted(cells, "cell")
        return f"{told}, {failures} failed" if failures else told


def context_lines(context: dict[str, object], *, width: int = _WIDTH) -> list[str]:
    """`key = value`, one a line."""
    return [f"{strip_controls(key)} = {one_line(repr(v), width)}" for key, v in context.items()]


def depths_of(steps: Iterable[StepRow]) -> dict[int, int]:
    """How many steps each step lies in, by its number."""
    parents = {step.number: step.parent for step in steps}
    return {number: _depth(number, parents) for number in parents}


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


def _depth(number: int, parents: dict[int, int | None]) -> int:
    depth = 0
    parent = parents[number]
    while parent is not None and depth < len(parents):  # a damaged store may hold a circle
        depth += 1
        parent = parents.get(parent)
    return depth
