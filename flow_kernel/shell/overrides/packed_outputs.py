"""What IPython keeps of the outputs of a cell, in as many bytes as its texts have.

Used by `shell.flow_shell` as the `outputs` of IPython's history; packed by
`shell.overrides.kept_prints`.

For `%notebook` IPython keeps a list of objects a cell, each with a dict, a print with one more list
in it: half a kilobyte for two characters. Here a cell that is over keeps its texts, and whoever
looks finds the lists that IPython would have kept. A cell that showed more than text stays a list.

Source: IPython 9.0 to 9.18, `HistoryManager.outputs`; `is_usable` looks whether it is still so, and
IPython's own stays where it is not.
"""

import inspect
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, Self

from IPython.core import history

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.shared_texts import SharedTexts

globals()["__builtins__"] = FROZEN_BUILTINS

_PRINTED: Final = "out_stream"
_STREAM: Final = "stream"
_TEXT: Final = "text/plain"
_RESULT: Final = "execute_result"
_KEYS: Final = {_PRINTED: _STREAM, "err_stream": _STREAM, _RESULT: _TEXT}
_references: Final = sys.getrefcount
_LONGEST: Final = 1000
"""Characters of a text that is looked for among those of late."""


def _references_to(lists: dict[int, list[Any]], count: int) -> int:
    outputs = dict.get(lists, count)
    return _references(outputs)


_OUR_REFERENCES: Final = _references_to({0: []}, 0)
"""To a list that the dict alone holds: what asking adds differs between versions of Python."""


class PackedOutputs(defaultdict[int, list[Any]]):
    """Lists of outputs by execution count; those that were packed become lists when asked for."""

    def __init__(self) -> None:
        super().__init__(list)
        self._packed: dict[int, str | tuple[str, ...]] = {}
        self._texts = SharedTexts()

    def pack(self, count: int) -> None:
        """A cell is over: keep its texts alone."""
        if _references_to(self, count) > _OUR_REFERENCES:
            return  # a thread may be about to append to it
        outputs: Any = dict.get(self, count)
        packed = _packed(outputs)
        if packed is not None:
            if sum(map(len, packed)) <= _LONGEST:
                packed = self._texts.same(packed)
            # First there twice and then once: a thread that looks finds it.
            self._packed[count] = packed
            dict.pop(self, count, None)

    def __missing__(self, count: int) -> list[Any]:
        packed = self._packed.pop(count, None)
        if packed is None:
            return super().__missing__(count)
        found = self[count] = _unpacked(packed)
        return found

    def _unpack(self) -> Self:
        """All as lists, the oldest first, as they were put in."""
        if self._packed:
            for count in [*self._packed]:
                self.__missing__(count)
            for count in sorted(dict.keys(self), key=_place):
                dict.__setitem__(self, count, dict.pop(self, count))
        return self

    def __contains__(self, count: object) -> bool:
        return count in self._packed or super().__contains__(count)

    def get(self, count: int, default: Any = None) -> Any:
        """The list of a cell."""
        if count in self._packed:
            self.__missing__(count)
        return super().get(count, default)

    def setdefault(self, count: int, default: Any = None) -> Any:
        """The list of a cell; `default` where it has none."""
        if count in self._packed:
            self.__missing__(count)
        return super().setdefault(count, default)

    def pop(self, count: int, *default: Any) -> Any:
        """Take the list of a cell out."""
        if count in self._packed:
            self.__missing__(count)
        return super().pop(count, *default)

    def __delitem__(self, count: int) -> None:
        self.pop(count)

    def __setitem__(self, count: int, outputs: list[Any]) -> None:
        self._packed.pop(count, None)
        super().__setitem__(count, outputs)

    def clear(self) -> None:
        """Forget all."""
        self._packed.clear()
        self._texts.clear()
        super().clear()

    def __len__(self) -> int:
        return len(self._packed) + super().__len__()

    def __iter__(self) -> Iterator[int]:
        self._unpack()
        return super().__iter__()

    def __reversed__(self) -> Iterator[int]:
        self._unpack()
        return super().__reversed__()

    def keys(self) -> Any:
        """Execution counts."""
        self._unpack()
        return super().keys()

    def values(self) -> Any:
        """Lists of outputs."""
        self._unpack()
        return super().values()

    def items(self) -> Any:
        """Execution counts and lists."""
        self._unpack()
        return super().items()

    def popitem(self) -> tuple[int, list[Any]]:
        """Take the newest out."""
        self._unpack()
        return super().popitem()

    def update(self, *others: Any, **more: Any) -> None:
        """Put those of others in."""
        self._unpack()
        super().update(*others, **more)

    def _plain(self) -> defaultdict[int, list[Any]]:
        return defaultdict(list, self.items())

    def copy(self) -> Any:
        """All of them, in a dict of IPython's kind."""
        return self._plain()

    __copy__ = copy

    def __eq__(self, other: object) -> bool:
        self._unpack()
        if isinstance(other, PackedOutputs):
            other._unpack()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]  # as a dict

    def __or__(self, other: Any) -> Any:
        return self._plain() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._plain()

    def __ior__(self, other: Any) -> Self:  # type: ignore[override]  # as a dict
        self.update(other)
        return self

    def __repr__(self) -> str:
        return repr(self._plain())

    def __reduce__(self) -> Any:
        return self._plain().__reduce__()


def _place(count: object) -> int:
    return count if type(count) is int else 0


def _packed(outputs: Iterable[Any]) -> str | tuple[str, ...] | None:
    """The texts, each behind what it is; a lone print without that. None: there is more."""
    if type(outputs) is not list:
        return None
    found: list[str] = []
    for output in outputs:
        if type(output) is not history.HistoryOutput or type(output.bundle) is not dict:
            return None
        kind, bundle = output.output_type, output.bundle
        if type(kind) is not str or kind not in _KEYS or len(bundle) != 1:
            return None
        text = bundle.get(_KEYS[kind])
        if kind != _RESULT and type(text) is list and len(text) == 1:
            text = text[0]
        if type(text) is not str:
            return None
        found += kind, text
    if not found:
        return None
    return found[1] if found[:-1] == [_PRINTED] else tuple(found)


def _unpacked(packed: str | tuple[str, ...]) -> list[Any]:
    found = (_PRINTED, packed) if type(packed) is str else packed
    return [
        history.HistoryOutput(
            output_type=kind, bundle={_KEYS[kind]: text if kind == _RESULT else [text]}
        )
        for kind, text in zip(found[::2], found[1::2], strict=True)
    ]


def is_usable() -> bool:
    """True where IPython keeps outputs as we know it."""
    try:
        kept = [*inspect.signature(history.HistoryOutput).parameters]
        stock: Any = history.HistoryManager.outputs
        return kept == ["output_type", "bundle"] and type(stock) is defaultdict
    except (AttributeError, TypeError, ValueError):
        return False
