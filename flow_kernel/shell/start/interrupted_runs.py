"""A kernel that starts on a home where a runner of workflows was killed has its runs go on.

Called by `shell.kernel` once a session is there. A look at one directory where there is nothing to
do, as a rule.
"""

import os

from flow_kernel.errors import FlowError
from flow_kernel.records.home import Home
from flow_kernel.session.notices import Notices


def go_on(home: Home, notices: Notices) -> None:
    """Have them go on beside this kernel, and say so."""
    try:
        if not os.listdir(home.run_dir / "steps"):  # noqa: PTH208 - names only
            return
    except OSError:
        return  # nothing was ever run here
    from flow_kernel.workflow.going_on import go_on_beside, interrupted  # seldom needed

    try:
        run_ids = interrupted(home)
        if run_ids:
            go_on_beside(home, run_ids)
    except (FlowError, OSError) as error:
        notices.say(f"runs of workflows were interrupted and cannot go on: {error}")
        return
    if run_ids:
        notices.say(
            f"{', '.join(run_ids)} of a workflow was interrupted and goes on in the background;"
            " see: %workflow list; c.FlowKernel.resume_runs = False leaves such runs alone"
        )
