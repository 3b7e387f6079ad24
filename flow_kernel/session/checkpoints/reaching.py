"""What a cell may have changed, asked of `reach` with all that it has to know.

Called by `automatic` after each cell.
"""

from flow_kernel.session.checkpoints.plan import Scope
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.tracking import Ran


def reach_of(ran: Ran, checkpoints: Checkpoints) -> Scope:
    """Names that a cell may have changed in place; None for any."""
    return None
