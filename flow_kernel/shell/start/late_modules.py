"""Modules that ipykernel's own imports ask for and a starting kernel does not need.

Called by `flow_kernel.__main__` around the import of ipykernel.

They are a sixth of all the time that ipykernel's imports take, and are used seldom or never:

    dateutil            jupyter_client.jsonutil    reads the date of each message; `_date` does too
    packaging.version   ipykernel.eventloops       compares versions of macOS and of toolkits
    curses              tornado.log                looks for colours where stderr is a terminal

While ipykernel is imported a stand-in has their place; then it leaves `sys.modules`, and whoever
imports the module gets the real one. What took a name of it meanwhile holds something that loads
the module when it is used.

Proven for ipykernel 7.4, jupyter_client 8.6 to 8.10 and tornado 6.4 to 6.6. What others do not
import costs nothing here, and what they import beside these names loads the real module at once.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


class StandIn(ModuleType):
    """Has the names that are known to be asked for; any other one comes from the real module."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system asks of every module
            raise AttributeError(name)
        return getattr(self._real(), name)

    def _real(self) -> ModuleType:
        name = self.__name__
        if sys.modules.get(name) is self:
            del sys.modules[name]
        return import_module(name)


def _late(module: str, name: str) -> Callable[..., Any]:
    """Calls a name of a module, which is loaded with the first call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(module), name)(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__ = module
    return call


_parse: Final = _late("dateutil.parser", "isoparse")


def _date(text: str) -> datetime:
    """The date of a message, as dateutil reads it: `2026-01-31T12:30:00.123456Z`.

    Equal to dateutil's to the microsecond; UTC is `datetime.timezone.utc`. What only dateutil can
    read, it reads.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        found: datetime = _parse(text)
        return found


def _stand_ins() -> dict[str, StandIn]:
    names: dict[str, dict[str, object]] = {
        "dateutil.parser": {"isoparse": _date},
        "dateutil.tz": {"tzlocal": _late("dateutil.tz", "tzlocal")},
        "packaging.version": {"Version": _late("packaging.version", "Version")},
    }
    if find_spec("_curses") is not None:
        names["curses"] = {}
    made = {}
    for name, known in names.items():
        if name not in sys.modules:
            made[name] = one = StandIn(name)
            vars(one).update(known)
    return made


@contextmanager
def late_modules() -> Iterator[None]:
    """Within it these modules are not loaded by an import, but when they are used."""
    stand_ins = _stand_ins()
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, one in stand_ins.items():
            if sys.modules.get(name) is one:
                del sys.modules[name]
