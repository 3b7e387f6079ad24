"""The figures of one session: their titles, units and targets (pure).

Called by `checkpoint_measures.py` with the samples of all tools.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from checkpoint_session import BURST, STEPS
from checkpoint_table import Row

_MB: Final = 1e6


@dataclass(slots=True)
class Samples:
    """Samples of several figures, each by tool."""

    by_figure: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, figure: str, tool: str, value: float) -> None:
        """One more."""
        self.by_figure.setdefault(figure, {}).setdefault(tool, []).append(value)

    def of(self, figure: str) -> dict[str, list[float]]:
        """All of a figure."""
        return self.by_figure.get(figure, {})


def rows(size_mb: float, samples: Samples) -> list[Row]:
    """All figures at one size that somebody was measured for."""

    def named(name: str, title: str) -> dict[str, Any]:
        return {"name": f"{name}_{size_mb:g}", "title": f"{title}, {size_mb:g} MB"}

    of = samples.of
    found = [
        Row(
            **named("first", "first full checkpoint: blocked"),
            unit="ms", samples=of("first"), at_most=40,
        ),
        Row(
            **named("durable", "first full checkpoint: durable"),
            unit="ms", samples=of("durable"), at_most=1500,
            note="the picklers and Kishu do not sync to the disk",
        ),
        Row(
            **named("first_bytes", "first full checkpoint: stored"),
            unit="MB", samples=of("first_bytes"),
        ),
        Row(
            **named("again", "full checkpoint, nothing changed: blocked"),
            unit="ms", samples=of("again"),
        ),
        Row(
            **named("again_durable", "full checkpoint, nothing changed: durable"),
            unit="ms", samples=of("again_durable"),
        ),
    ]  # fmt: skip
    for step in STEPS:
        found.append(
            Row(
                **named(step.name, f"{step.title}: blocked"),
                unit="ms", samples=of(step.name), at_most=step.most_ms,
            )
        )  # fmt: skip
        limit = None if step.most_bytes is None else step.most_bytes / _MB
        if step.name in ("edit", "nested", "drop", "read"):
            found.append(
                Row(
                    **named(f"{step.name}_bytes", f"{step.title}: stored"),
                    unit="MB", samples=of(f"{step.name}_bytes"), at_most=limit,
                )
            )  # fmt: skip
    found += [
        Row(
            **named("burst", f"{BURST} one-value edits without a pause: blocked a cell"),
            unit="ms", samples=of("burst"),
        ),
        Row(**named("undo", "undo of that cell"), unit="ms", samples=of("undo"), at_most=50),
        Row(**named("far", "back over all cells"), unit="ms", samples=of("far")),
        Row(
            **named("elsewhere_warm", "all into a new kernel, its libraries imported before"),
            unit="ms", samples=of("elsewhere_warm"), at_most=600,
        ),
        Row(
            **named("elsewhere", "all into a new kernel, its imports included"),
            unit="ms", samples=of("elsewhere"), at_most=600,
        ),
        Row(
            **named("hundred", "store after 100 one-value edits, of the session's size"),
            unit="x", samples=of("hundred"), at_most=1.5,
        ),
        Row(
            **named("calls", "1,000,000 calls in a user's loop, of those without a tool"),
            unit="x", samples=of("calls"), at_most=1.01,
        ),
    ]  # fmt: skip
    return [row for row in found if any(row.samples.values())]
