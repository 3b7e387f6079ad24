"""A stock kernel and the kernel under test side by side.

Called by the fixtures of `tests/conftest.py`; the transparency tests run each program on both and
compare all that a program can see.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from tests.kernels import FLOW, STOCK, Kernel, KernelDied
from tests.replies import Ran

_FORGET: Final = "get_ipython().reset(new_session=True)"


@dataclass(frozen=True, slots=True)
class Pair(AbstractContextManager["Pair"]):
    """Two kernels that run the same cells."""

    stock: Kernel
    flow: Kernel

    def run(self, *cells: str, **options: Any) -> tuple[list[Ran], list[Ran]]:
        """Run the cells on both, one after the other."""
        return (
            [self.stock.run(cell, **options) for cell in cells],
            [self.flow.run(cell, **options) for cell in cells],
        )

    def both(self, act: Callable[[Kernel], Any]) -> tuple[Any, Any]:
        """What `act` returns for each."""
        return act(self.stock), act(self.flow)

    def forget(self) -> None:
        """Empty both namespaces and set both counters back, so that the order of tests is free."""
        for kernel in (self.stock, self.flow):
            try:
                kernel.run(_FORGET, silent=True, timeout=5)
            except (TimeoutError, KernelDied):
                # The test before broke it: that one has failed, this one gets a new kernel.
                kernel.restart().run(_FORGET, silent=True)
            kernel.iopub.clear()

    def __exit__(self, *_: object) -> None:
        self.stock.close()
        self.flow.close()


def effects(runs: Sequence[Ran]) -> list[dict[str, Any]]:
    """What can be seen of a program, cell by cell."""
    return [ran.effects() for ran in runs]


def start_pair() -> Pair:
    """Start both at once and wait for them; the caller closes them."""
    pair = Pair(Kernel(STOCK), Kernel(FLOW, is_cold=True))
    pair.stock.ready()
    pair.flow.ready()
    return pair
