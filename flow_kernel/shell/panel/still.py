"""The panel as it stood at one moment: text in a terminal, HTML in a report or without a kernel.

Made by `shell.panel.panels` and `shell.panel.live`. Everything a person or a program has named is
escaped.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

_STYLE: Final = (
    "<style>.flow-s{font-size:13px;line-height:1.5;max-width:60em}"
    ".flow-s ul{list-style:none;margin:.3em 0 0;padding:0}"
    ".flow-s b{font-weight:600}.flow-s span{opacity:.75}.flow-s i{font-style:normal;"
    "display:inline-block;width:1.4em}.flow-s .good{color:#2a8a5c}.flow-s .bad{color:#c4472f}"
    ".flow-s .warn{color:#b7791f}.flow-s small{display:block;padding-left:1.8em}</style>"
)
_TONES: Final = frozenset({"good", "bad", "warn", "dim"})


class StillPanel:
    """What a board has shown; `now` holds the values.

    Args:
        now: Of a `Board`.
        note: A sentence below it; empty for none.
    """

    def __init__(self, now: Mapping[str, Any], *, note: str = "") -> None:
        self.now: Mapping[str, Any] = now
        self._note = note

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterable[str]:
        yield _headline(self.now)
        for worker in self.now["workers"]:
            yield f"  worker {worker['title']}  {worker['detail']}"
        for row in self.now["rows"]:
            detail = f"  ({row['detail']})" if row["detail"] else ""
            yield f"  {row['at']:8} {row['mark']} {row['kind']} {row['title']}{detail}"
            yield from (f"             {line}" for line in row["more"])
        if self._note:
            yield f"  {self._note}"

    def _repr_html_(self) -> str:
        return f'{_STYLE}<div class="flow-s">{"".join(self._parts())}</div>'

    def _parts(self) -> Iterable[str]:
        yield f"<b>{escape(_headline(self.now))}</b><ul>"
        for worker in self.now["workers"]:
            yield f"<li>{_item(worker, 'worker', '●')}</li>"
        yield "</ul><ul>"
        for row in self.now["rows"]:
            more = "".join(f"<small>{escape(line)}</small>" for line in row["more"])
            yield f"<li>{_item(row, row['kind'], row['mark'])}{more}</li>"
        yield "</ul>"
        if self._note:
            yield f"<span>{escape(self._note)}</span>"


def _item(row: Mapping[str, Any], kind: str, mark: str) -> str:
    tone = row["tone"] if row["tone"] in _TONES else "dim"
    at = f"<span>{escape(row['at'])}</span> " if row.get("at") else ""
    return (
        f'<i class="{tone}">{escape(mark)}</i>{at}<b>{escape(kind)}</b> {escape(row["title"])} '
        f"<span>{escape(row['detail'])}</span>"
    )


def _headline(now: Mapping[str, Any]) -> str:
    head = now["head"]
    step = f"step {head['step']}" if head["step"] else ""
    paused = "" if head["recording"] else "recording is paused"
    parts: Sequence[str] = [head["title"], head["status"], step, paused]
    return " · ".join(part for part in parts if part)
