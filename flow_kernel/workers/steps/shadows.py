"""Modules beside a script that hide one which was imported ahead.

Used by `host_process` before it forks: in a fresh interpreter `import json` finds the `json.py`
beside the script; in a forked one it would find what is loaded already.
"""

import os
import site
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST = 64
_SETTLED_NS = 2_000_000_000
"""A directory that changed less than this ago may change again at the same time stamp."""
_LOADED_ANYWAY = frozenset(
    {
        *("__main__", "abc", "codecs", "encodings", "genericpath", "io", "os", "posixpath"),
        *("site", "sitecustomize", "stat", "usercustomize", "zipimport"),
        *("_collections_abc", "_sitebuiltins", ""),
    }
).union(sys.builtin_module_names)
"""Any interpreter has them before a script begins."""


def system_path() -> list[str]:
    """Where the standard library and installed packages are: they do not change between steps."""
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    roots = tuple(f"{os.path.realpath(prefix)}{os.sep}" for prefix in prefixes)
    user = site.getusersitepackages() if site.ENABLE_USER_SITE else None
    own = set(os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return [
        entry
        for entry in sys.path
        if entry not in own and (entry == user or os.path.realpath(entry).startswith(roots))
    ]


class Shadows:
    """What hides what.

    Args:
        system: See `system_path`.
    """

    def __init__(self, system: "Sequence[str]") -> None:
        self._system = frozenset(system)
        self._seen: dict[str, tuple[int, frozenset[str]]] = {}

    def hidden(self, path: "Sequence[str]") -> str:
        """The name of a loaded module that a script with that path would find elsewhere; or ""."""
        for entry in path:
            if entry in self._system:
                break
            for name in self._names(entry):
                if name in sys.modules and not _lies_in(name, entry):
                    return name
        return ""

    def may_hide(self, path: "Sequence[str]") -> bool:
        """True where a module of the standard library would be found elsewhere, loaded or not."""
        for entry in path:
            if entry in self._system:
                break
            if not self._names(entry).isdisjoint(sys.stdlib_module_names):
                return True
        return False

    def _names(self, entry: str) -> frozenset[str]:
        """Names of modules that may be imported from a directory; about 3 us if it is known."""
        try:
            changed_ns = os.stat(entry or ".").st_mtime_ns  # noqa: PTH116 - on the path of each step
            seen = self._seen.get(entry)
            if seen is not None and seen[0] == changed_ns:
                return seen[1]
            with os.scandir(entry or ".") as files:
                names = frozenset(map(_module_name, files)) - _LOADED_ANYWAY
        except OSError:
            return frozenset()
        if time.time_ns() - changed_ns > _SETTLED_NS:
            if len(self._seen) >= _MOST:
                self._seen.clear()
            self._seen[entry] = (changed_ns, names)
        return names


def _module_name(file: "os.DirEntry[str]") -> str:
    stem, dot, kind = file.name.partition(".")
    if not dot:
        return stem if stem.isidentifier() and file.is_dir() else ""
    return stem if kind == "py" or kind.endswith("so") or kind == "pyc" else ""


def _lies_in(name: str, entry: str) -> bool:
    """True for a loaded module that an import would find in this directory again."""
    module = sys.modules.get(name)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(place and place.startswith(f"{entry.rstrip(os.sep)}{os.sep}") for place in places)
