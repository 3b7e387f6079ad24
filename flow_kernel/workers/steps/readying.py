"""What a process that forks steps has ready beyond its first word, a piece at a time.

Used by `host_process` while nobody asks for anything: its first step need not wait for this, which
takes as long as all that came before. The list is told to the owner too, for `hosts` to know it.

A step that is forked before a piece is there imports that itself.
"""

import gc
import os

from flow_kernel.workers.steps.rehearsal import Rehearsal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from flow_kernel.workers.steps.importing import Importer

STANDARD = ("json", "argparse", "pathlib", "linecache", "traceback", "shutil")
"""What nearly each script needs, now or in a corner."""
_OURS = ("flow_kernel.workers.sweep",)
"""Ends what steps leave behind."""
_FOR_LOOKS = ("flow_kernel.workers.thread_looks", "flow_kernel.workers.glimpses")
"""For a step that is looked into, which one is after a second at the soonest."""
_REHEARSALS = 20
"""The interpreter rewrites code that it has run eight times, and then lets it be."""
_AT_ONCE = 5
_WARM = "WARM_UP"


class Readying:
    """What is left to do in one host.

    Args:
        importer: Loads the modules.
    """

    def __init__(self, importer: "Importer") -> None:
        self._load = load = importer.load
        self.rehearsal: Rehearsal = Rehearsal()
        self._todo: list[Callable[[], object]] = [
            *(_loads(load, name) for name in (*STANDARD, *_OURS)),
            *[self._rehearse] * (_REHEARSALS // _AT_ONCE),
            _settle,
        ]
        self._at_leisure: list[Callable[[], object]] = [
            *(_loads(load, name) for name in _FOR_LOOKS),
            _settle,
        ]

    @property
    def is_done(self) -> bool:
        """True when children may be forked ahead: they have what most steps need."""
        return not self._todo

    @property
    def is_over(self) -> bool:
        """True when nothing at all is left."""
        return not self._todo and not self._at_leisure

    def add(self, modules: "list[str]") -> None:
        """Have these loaded next."""
        self._todo = [*(_loads(self._load, name) for name in modules), *self._todo, gc.freeze]

    def go_on(self) -> None:
        """Do one piece, of some milliseconds."""
        todo = self._todo or self._at_leisure
        if todo:
            todo.pop(0)()

    def finish(self) -> None:
        """Do all that is left."""
        while not self.is_over:
            self.go_on()

    def _rehearse(self) -> None:
        """Do some of what each child does, so that it finds filled caches."""
        for _ in range(_AT_ONCE):
            self.rehearsal.play()
        os.environ[_WARM] = _WARM
        del os.environ[_WARM]


def _loads(load: "Callable[..., object]", name: str) -> "Callable[[], object]":
    return lambda: load([name], lambda _name: None)


def _settle() -> None:
    gc.collect()
    gc.freeze()
