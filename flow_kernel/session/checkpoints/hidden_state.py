"""State that no variable holds and that the next cell depends on: the random numbers to come.

Called by `service` before it saves, and by `rollback` after the namespace was patched.

    values = checkpoints.variables() | hidden_state()      names that no variable can have
    restore(loaded.pop(name) …)                            the rest goes into the namespace

The functions of `random`, `numpy.random` and `torch` draw from generators of their modules. Their
states are saved like variables, under names with a blank in them. A module that is not loaded has
no state that anybody has seen.
"""

import importlib
import random
import sys
from collections.abc import Mapping
from typing import Any, Final

PREFIX: Final = "random numbers of "
RANDOM: Final = f"{PREFIX}random"
NUMPY: Final = f"{PREFIX}numpy"
TORCH: Final = f"{PREFIX}torch"


def is_hidden(name: str) -> bool:
    """True for a name of `hidden_state`, which stands in no list of variables."""
    return name.startswith(PREFIX)


def hidden_state() -> dict[str, object]:
    """The states of now, by name. Cost: some 60 µs, most of it for the 625 words of `random`."""
    found: dict[str, object] = {RANDOM: random.getstate()}
    if (mtrand := sys.modules.get("numpy.random.mtrand")) is not None:
        found[NUMPY] = mtrand.get_state(legacy=False)
    if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "get_rng_state"):
        found[TORCH] = torch.get_rng_state()
    return found


def prepare(states: Mapping[str, Any]) -> None:
    """Load the libraries of states, so that `restore` cannot fail for want of them."""
    if NUMPY in states:
        importlib.import_module("numpy.random")
    if TORCH in states:
        importlib.import_module("torch")


def restore(states: Mapping[str, Any]) -> None:
    """Go on from states of `hidden_state`; their libraries are loaded where they are not yet."""
    if RANDOM in states:
        random.setstate(states[RANDOM])
    if NUMPY in states:
        importlib.import_module("numpy.random").set_state(states[NUMPY])
    if TORCH in states:
        importlib.import_module("torch").set_rng_state(states[TORCH])
