"""The client of the WebSocket sandbox of a Jupyter Server.

Called by users as `flow_kernel.sandbox.connect(url, token)`.

    with connect("http://127.0.0.1:8888", token) as sandbox:
        task = sandbox.run("make test", workspace="project", timeout_s=600)
        for message in task:
            print(message.output, end="")
        print(task.wait().exit_code)

A connection that breaks is made anew, and each task goes on with the message that was to come next.
"""

from flow_kernel.apps.sandbox.client import Sandbox
from flow_kernel.apps.sandbox.client_task import Message, SandboxTask, TaskResult
from flow_kernel.apps.sandbox.client_wire import address

__all__ = ["Message", "Sandbox", "SandboxTask", "TaskResult", "connect"]


def connect(
    url: str,
    token: str = "",
    *,
    timeout_s: float = 10.0,
    reconnect_s: float = 30.0,
    silence_s: float = 45.0,
) -> Sandbox:
    """Connect to the sandbox of a server.

    Args:
        url: Of the server: `http://…` or `ws://…`, with its base path; a `?token=` is taken.
        token: Of the server.
        timeout_s: How long the connection, and an answer, may take.
        reconnect_s: How long a lost connection is tried again.
        silence_s: After so long without a word the server is asked for a sign of life; one that
            gives none within `timeout_s` is taken for lost. It gives one every 30 s by itself.

    Raises:
        KernelGone: No server answers there.
        UsageError: It is no such address, or the server refuses the token.
    """
    return Sandbox(
        address(url, token), timeout_s=timeout_s, reconnect_s=reconnect_s, silence_s=silence_s
    )
