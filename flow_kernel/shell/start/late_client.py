"""The client's side of Jupyter, which a kernel does not need: loaded when it is asked for.

Called by `flow_kernel.__main__` before ipykernel is imported, and by `shell.kernel` once nobody
waits: then it is loaded, and all is as in stock ipykernel.

ipykernel imports `jupyter_client`, of which it uses the session and the connection files. The
package imports its managers, clients and provisioners as well, and they import `importlib.metadata`
with `email` and `zipfile`: a tenth of all the time of ipykernel's imports. Here the package is
there, and its `__init__` runs at the first name that is asked of it, or a moment after the start;
modules in it can be imported before, and are the same ones.

Proven for jupyter_client 8.6 to 8.10, where no module of the package takes a name from the package
while it is imported. Where it is loaded already, or is no ordinary package, nothing is done.
"""

import sys
import threading
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any, Final

_NAME: Final = "jupyter_client"
_HOMES: Final = {
    "find_connection_file": "jupyter_client.connect",
    "write_connection_file": "jupyter_client.connect",
}
"""What ipykernel takes from the package, and where the package has it from."""
_LOCK: Final = threading.RLock()


class _LatePackage(ModuleType):
    """Is `jupyter_client` before its `__init__` has run."""

    def __getattr__(self, name: str) -> Any:
        found = _without_init(name)
        return _after_init(self, name) if found is None else found

    def __dir__(self) -> list[str]:
        _run_init(self)
        return sorted(vars(self))


class _LoadingPackage(_LatePackage):
    """Is `jupyter_client` while its `__init__` runs."""

    def __getattr__(self, name: str) -> Any:
        found = _without_init(name)
        if found is not None:
            return found
        with _LOCK:  # another thread waits, as for any import
            return _named(self, name)


def defer() -> None:
    """Put the package there without loading what it imports."""
    if _NAME in sys.modules:
        return
    spec = find_spec(_NAME)
    if spec is None or not spec.submodule_search_locations or not _is_ordinary(spec):
        return
    package = module_from_spec(spec)
    _become(package, _LatePackage)
    sys.modules[_NAME] = package


def load() -> None:
    """Make of the package what it is elsewhere, if it was deferred."""
    package = sys.modules.get(_NAME)
    if package is not None:
        _run_init(package)


def _is_ordinary(spec: ModuleSpec) -> bool:
    return type(spec.loader) is SourceFileLoader


def _without_init(name: str) -> Any:
    """What ipykernel asks for, or a module of the package; None for any other name.

    Takes no lock: it is asked by modules of the package while they are imported.
    """
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name, None)
    if name.isidentifier() and find_spec(f"{_NAME}.{name}") is not None:
        return import_module(f"{_NAME}.{name}")
    return None


def _after_init(package: ModuleType, name: str) -> Any:
    _run_init(package)
    return _named(package, name)


def _named(package: ModuleType, name: str) -> Any:
    try:
        return vars(package)[name]
    except KeyError:
        raise AttributeError(f"module {_NAME!r} has no attribute {name!r}") from None


def _run_init(package: ModuleType) -> None:
    """Run the `__init__` of the package, unless that has been done or is under way."""
    with _LOCK:
        spec = package.__spec__
        if type(package) is _LatePackage and spec is not None and spec.loader is not None:
            _become(package, _LoadingPackage)
            is_done = False
            try:
                spec.loader.exec_module(package)
                is_done = True
            finally:
                _become(package, ModuleType if is_done else _LatePackage)


def _become(package: ModuleType, kind: type[ModuleType]) -> None:
    package.__class__ = kind
