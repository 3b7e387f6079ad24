"""Reads lines of `%approve` and `%task` as they are meant, before IPython reads them.

Called by IPython for each cell, once `shell.magic_set` has put them in.

A line of `%approve` by itself, whose answer nobody looks at, says `--stop`: unless the answer is
yes, the cell ends there. `ok = %approve …` gives the answer and goes on.

IPython reads `%approve Delete 3 files?` as a request for help on `files`: nothing would be asked,
and the cell would go on. `%approve?` stays the request for help that it is.
"""

from typing import Any, Final

from IPython.core.inputtransformer2 import TokenTransformBase

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_MAGICS: Final = ("approve", "task")
_STOP: Final = ["-", "-", "stop"]


class TextWithQuestionMark(TokenTransformBase):  # type: ignore[misc]  # IPython has no types here
    """Turns such a line into the call that it means, before IPython looks for help requests."""

    priority = 1

    def __init__(self, start: Any, percent: Any) -> None:
        super().__init__(start)
        self._column = percent[1]

    @classmethod
    def find(cls, tokens_by_line: Any) -> "TextWithQuestionMark | None":
        """The first line of that kind."""
        for line in tokens_by_line:
            if len(line) > 4 and line[-2].string == "?":
                tokens = [token for token in line if token.string.strip()]
                texts = [token.string for token in tokens]
                at = texts.index("=") + 1 if "=" in texts else 0
                if texts[at : at + 1] != ["%"]:
                    at = 0
                magic = texts[at : at + 3]
                if (
                    len(magic) == 3
                    and magic[0] == "%"
                    and magic[1] in _MAGICS
                    and magic[2] != "?"
                    and tokens[0].start[0] == tokens[-1].start[0]
                ):
                    return cls(tokens[0].start, tokens[at].start)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """`lines` with a call in the place of the magic."""
        line = lines[self.start_line]
        name, _, text = line[self._column + 1 :].rstrip().partition(" ")
        call = f"{line[: self._column]}get_ipython().run_line_magic({name!r}, {text.strip()!r})\n"
        return [*lines[: self.start_line], call, *lines[self.start_line + 1 :]]


class BareQuestion(TokenTransformBase):  # type: ignore[misc]  # IPython has no types here
    """Puts `--stop` into a line that is nothing but `%approve …`."""

    priority = 0

    def __init__(self, start: Any, name_end: Any) -> None:
        super().__init__(start)
        self._column = name_end[1]

    @classmethod
    def find(cls, tokens_by_line: Any) -> "BareQuestion | None":
        """The first line of that kind."""
        for line in tokens_by_line:
            tokens = [token for token in line if token.string.strip()]
            texts = [token.string for token in tokens[:6]]
            if texts[:2] == ["%", "approve"] and texts[2:3] != ["?"] and texts[2:5] != _STOP:
                return cls(tokens[0].start, tokens[1].end)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """`lines` with the option behind the magic."""
        at = self._column
        line = lines[self.start_line]
        stopping = f"{line[:at]} --stop{line[at:]}"
        return [*lines[: self.start_line], stopping, *lines[self.start_line + 1 :]]


TRANSFORMERS: Final = (BareQuestion, TextWithQuestionMark)
"""All of them, in the order in which a shell is given them."""
