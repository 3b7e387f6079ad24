"""`python -m flow_kernel -f FILE` starts the Flow kernel.

Called by clients, as the kernelspec says.
"""

import sys
from pathlib import Path


def main() -> None:
    """Start the kernel and stay until it is shut down."""
    # As ipykernel's launcher: the working directory comes back when the shell is ready, so that
    # a user's file cannot shadow a module while the kernel loads.
    if sys.path and (sys.path[0] == "" or Path(sys.path[0]) == Path.cwd()):
        del sys.path[0]
    # After the path is clean, and before anything else of ours is loaded.
    from flow_kernel.records.quiet_collector import rest

    rests = rest()
    from flow_kernel.shell.start import late_client, late_modules

    late_client.defer()
    with late_modules.late_modules():
        from flow_kernel.shell.kernel import FlowKernelApp

    FlowKernelApp.launch_instance(collector_rests=rests)


if __name__ == "__main__":
    main()
