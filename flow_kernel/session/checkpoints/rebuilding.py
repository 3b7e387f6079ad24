"""What is known of making variables again that a checkpoint could not hold.

Called by the magics after a way back, and by the command line. It reads the log of the session that
took the checkpoint; where that log is not there, on another machine, nothing is known.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from flow_kernel.records.home import Home
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.recipe import Recipe, recipes
from flow_kernel.session.checkpoints.tombstone import Tombstone, explain
from flow_kernel.session.history import History
from flow_kernel.session.risk import World, scan_source


def recipes_for(
    home: Home,
    checkpoint: Checkpoint,
    names: Sequence[str],
    *,
    transform: Callable[[str], str] = lambda source: source,
) -> list[Recipe]:
    """How to make variables again, one recipe each.

    Args:
        home: Where the log lies.
        checkpoint: Which could not hold them.
        names: What is missing.
        transform: Turns IPython's syntax into Python, for the look at side effects.
    """
    if not names:
        return []
    world = World(resolve=_resolver(checkpoint), transform=transform)

    def risks_of(source: str) -> tuple[str, ...]:
        kinds = (found.kind.value for found in scan_source(source, world))
        return tuple(dict.fromkeys(kinds))

    return recipes(
        History(home, checkpoint.session).records(),
        names,
        held=checkpoint.variables.keys(),
        seq=checkpoint.seq,
        risks_of=risks_of,
    )


def _resolver(checkpoint: Checkpoint) -> Callable[[str], str | None]:
    """What names stood for, as far as a checkpoint knows: modules by their names."""

    def resolve(name: str) -> str | None:
        said = checkpoint.variables.get(name)
        if said is None:
            return None
        words = str(said.get("summary", "")).split()
        is_module = said.get("type") == "module" and words[:1] == ["module"]
        return words[1] if is_module and len(words) > 1 else ""

    return resolve


def explain_all(namespace: Mapping[str, object], found: Iterable[Recipe]) -> None:
    """Tell the tombstones in a namespace how what was there is made again."""
    for recipe in found:
        value = namespace.get(recipe.name)
        if type(value) is Tombstone and recipe.cells:
            explain(value, f"to make it again, run {recipe.numbers}")
