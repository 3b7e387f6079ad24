"""The dashboard: what a home holds, on pages of a Jupyter Server.

Loaded by Jupyter Server, which finds it in `jupyter_server_config.d/flow_kernel.json`, and by
`jupyter flow serve`, which starts a server with nothing else. It shows and passes on; all truth
lies in the home, so that ending it loses nothing.
"""

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "flow_kernel.apps.server"}]


def _load_jupyter_server_extension(server: Any) -> None:
    from flow_kernel.apps.server.extension import load  # a server that lists it need not load it

    load(server)
