"""The executors of one run, each made when its first step asks for it.

Built by `service`; called by `runner`. Executors are found by name among the entry points of the
group `flow_kernel.executors`; ours are there as well, and are known without looking.
"""

import difflib
import importlib
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

from flow_kernel.errors import FlowError, MissingExtra, UsageError
from flow_kernel.workflow.executors.contract import Context, Executor

GROUP: Final = "flow_kernel.executors"
OURS: Final = {
    "fork": "flow_kernel.workflow.executors.local:ForkExecutor",
    "subprocess": "flow_kernel.workflow.executors.local:SubprocessExecutor",
    "inline": "flow_kernel.workflow.executors.inline:InlineExecutor",
    "kernel": "flow_kernel.workflow.executors.kernel:KernelExecutor",
    "dask": "flow_kernel.workflow.executors.dask:DaskExecutor",
}


def names() -> list[str]:
    """The executors that are installed, by name."""
    from flow_kernel.records.plugins import offered

    return sorted({*OURS, *(each.name for each in offered(GROUP))})


def unknown(wanted: Collection[str]) -> list[str]:
    """What is wrong with names of executors, in sentences."""
    if all(each.partition("=")[0] in OURS for each in wanted):
        return []
    known = names()
    problems = []
    for each in sorted(set(wanted)):
        name = each.partition("=")[0]
        if each and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
            problems.append(f'there is no executor "{name[:60]}"; {hint}')
    return problems


def load(wanted: Collection[str]) -> None:
    """Load executors before a run begins, which then need not wait for that.

    Raises:
        UsageError: One of them cannot be loaded.
        MissingExtra: What it needs is not installed.
    """
    for each in {*wanted}:
        _load(each.partition("=")[0])


class Executors:
    """See the module.

    Args:
        context: What they are made with.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._made: dict[str, Executor] = {}

    def get(self, asked: str) -> Executor:
        """The executor of a name, as in `fork` or `dask=tcp://…`.

        Raises:
            UsageError: There is none.
            MissingExtra: What it needs is not installed.
        """
        if asked not in self._made:
            name, _, address = asked.partition("=")
            make = _load(name)
            try:
                self._made[asked] = make(replace(self._context, address=address))
            except FlowError:
                raise
            except Exception as error:
                raise UsageError(f'the executor "{name}" cannot be made: {error!r:.200}') from error
        return self._made[asked]

    async def close(self) -> None:
        """End all of them; who asks again gets new ones."""
        made, self._made = self._made, {}
        async with AsyncExitStack() as stack:
            for executor in made.values():
                stack.push_async_callback(executor.close)


def _load(name: str) -> Any:
    try:
        if name in OURS:
            module, _, attribute = OURS[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        from flow_kernel.records.plugins import offered

        for each in offered(GROUP):
            if each.name == name:
                return each.load()
    except MissingExtra:
        raise
    except Exception as error:
        raise UsageError(f'the executor "{name}" cannot be loaded: {error!r:.200}') from error
    raise UsageError(f'there is no executor "{name[:60]}"; there are {", ".join(names())}')
