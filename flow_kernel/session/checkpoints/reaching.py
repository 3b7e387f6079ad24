"""What a cell may have changed, asked of `reach` with all that it has to know.

Called by `automatic` after each cell.
"""

from collections.abc import Callable

from flow_kernel.session.checkpoints.reach_look import CellLook, Reach, World
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.tracking import Ran


def reach_of(
    ran: Ran, checkpoints: Checkpoints, look_around: Callable[[], tuple[str, ...]]
) -> Reach:
    """What a cell may have changed in place; the tracker of the checkpoints has taken it in.

    Args:
        ran: The cell.
        checkpoints: Of the session.
        look_around: Says why code may run that no cell shows.
    """
    tracker = checkpoints.tracker
    look = CellLook(
        codes=tuple(ran.codes),
        born=frozenset(ran.ended.added or ()),
        removed=frozenset(ran.ended.removed),
        imported=ran.ended.imports,
        doubts=ran.doubts,
    )
    world = World(
        namespace=checkpoints.namespace,
        hidden=checkpoints.hidden,
        types=tracker.types(),
        doubts=look_around(),
    )
    return tracker.ran(look, world)
