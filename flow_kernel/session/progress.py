"""How far a step has come: when to show it, and how (pure).

Called by `session.steps` for each `progress(i, n)`; what is shown is drawn by
`shell.views.progress_bar`.
"""

from dataclasses import dataclass
from typing import Final

from flow_kernel.records.plain import human_ms, one_line

_EVERY_S: Final = 0.1
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far something has come at one moment.

    Attributes:
        name: Of the step; safe to print.
        done: How many of `total` are done.
        total: How many there are.
        elapsed_s: Since the first of them.
        is_over: True when it will not go on.
        said: How far it is in the words of the user's formatter; `note()` where it is empty.
    """

    name: str
    done: float
    total: float
    elapsed_s: float
    is_over: bool = False
    said: str = ""

    @property
    def fraction(self) -> float:
        """From 0 to 1."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the speed so far; None while nobody can say."""
        if self.is_over or not 0 < self.fraction < 1:
            return None
        return self.elapsed_s * (1 - self.fraction) / self.fraction

    def note(self) -> str:
        """`3/12 · 25 % · 4.2 s left`."""
        parts = [f"{self.done:g}/{self.total:g}", f"{100 * self.fraction:.0f} %"]
        if self.left_s is not None:
            parts.append(f"{human_ms(self.left_s * 1000)} left")
        elif self.is_over:
            parts.append(human_ms(self.elapsed_s * 1000))
        return " · ".join(parts)

    def bar(self, width: int, *, has_blocks: bool = True) -> str:
        """A bar of `width` characters."""
        if not has_blocks:
            full = round(self.fraction * width)
            return "#" * full + "." * (width - full)
        eighths = round(self.fraction * width * 8)
        full, part = divmod(eighths, 8)
        return ("█" * full + (_BLOCKS[part] if part else "")).ljust(width)


class Meter:
    """Decides which of many reports are worth showing: ten a second, the first and the last."""

    __slots__ = ("_name", "_shown_s", "_started_s", "latest")

    def __init__(self, name: str) -> None:
        self._name = one_line(name, 40)
        self._started_s: float | None = None
        self._shown_s = 0.0
        self.latest: Progress | None = None

    def report(self, done: float, total: float, now_s: float) -> Progress | None:
        """Take in a report.

        Args:
            done: How many of `total` are done.
            total: How many there are.
            now_s: A clock that does not jump.

        Returns:
            What to show now; None when it is too early.
        """
        is_first = self._started_s is None
        self._started_s = now_s if self._started_s is None else self._started_s
        self.latest = Progress(
            name=self._name,
            done=done,
            total=total,
            elapsed_s=now_s - self._started_s,
            is_over=done >= total,
        )
        if not (is_first or self.latest.is_over or now_s - self._shown_s >= _EVERY_S):
            return None
        self._shown_s = now_s
        return self.latest
