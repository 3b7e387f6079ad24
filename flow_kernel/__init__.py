"""flow_kernel: a Jupyter kernel with a flight recorder.

The public face. Names are loaded on first use, so that `import flow_kernel` stays cheap and pulls
in no ipykernel.
"""

from importlib import import_module

from flow_kernel._version import __version__

# `typing` would be nine tenths of the cost of importing this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from flow_kernel import sandbox
    from flow_kernel.api import auto_context, open_flow
    from flow_kernel.session.ambient import current_session
    from flow_kernel.shell.extension import load_ipython_extension, unload_ipython_extension

__all__ = [
    "__version__",
    "auto_context",
    "current_session",
    "load_ipython_extension",
    "open_flow",
    "sandbox",
    "unload_ipython_extension",
]

_HOMES = {
    "auto_context": "flow_kernel.api",
    "current_session": "flow_kernel.session.ambient",
    "load_ipython_extension": "flow_kernel.shell.extension",
    "open_flow": "flow_kernel.api",
    "unload_ipython_extension": "flow_kernel.shell.extension",
}


def __getattr__(name: str) -> object:
    if name == "sandbox":  # a module, which is no name in another one
        return import_module("flow_kernel.sandbox")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
