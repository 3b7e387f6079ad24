"""The versions of libraries that are here, without importing any.

Called by the magics and by `jupyter flow checkpoints restore`, for `compatibility`.
"""

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from types import ModuleType


def installed(names: Iterable[str]) -> dict[str, str | None]:
    """The versions of packages by the names that are imported; None where there is none.

    What is loaded says its version itself. The others are looked up, and only where a package has
    another name than its distribution, all of them have to be read: 100 ms.
    """
    found: dict[str, str | None] = {}
    owners: dict[str, list[str]] | None = None
    for name in names:
        found[name] = _loaded(name) or _version(name)
        if found[name] is None:
            owners = dict(packages_distributions()) if owners is None else owners
            found[name] = _version(owners[name][0]) if owners.get(name) else None
    return found


def _loaded(name: str) -> str | None:
    module = sys.modules.get(name)
    said = vars(module).get("__version__") if type(module) is ModuleType else None
    return said if type(said) is str else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        return None
