"""Fixtures of all tests: kernels shared by a module, and the check that nothing is left behind."""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from hypothesis import HealthCheck, settings
from jupyter_core.utils import ensure_event_loop

from tests.dashboard import Served
from tests.ends import END_S, still_alive
from tests.forked import CHECKPOINTS, SERVERS, VERBS, Zygote
from tests.kernels import FLOW, Kernel
from tests.pairs import Pair, start_pair
from tests.sandboxes import SandboxServer


def pytest_configure() -> None:
    """Ctrl-C means the same to our children wherever the suite runs, and examples have no clock.

    A shell starts what it puts in the background with SIGINT ignored, and children inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # By default one that takes 0.2 s fails, as it does where another program has the processor.
    slow = {*settings.default.suppress_health_check, HealthCheck.too_slow}
    settings.register_profile(
        "unhurried", settings.default, deadline=None, suppress_health_check=slow
    )
    settings.load_profile("unhurried")
    gc.disable()  # what is collected stays, so that looking for garbage in it is of no use


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long counts, and what changes its process, run only where they are asked for by name."""
    marks = [mark for mark in ("soak", "apart") if mark not in config.option.markexpr]
    left_out = {item for item in items for mark in marks if item.get_closest_marker(mark)}
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


_SHARED: Final = ("zygote", "lean", "servers")
"""Fixtures that start a process for all modules of a run, where one wants it."""
_WANTED: Final = pytest.StashKey[set[str]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which modules want what is shared, and spare the garbage collector.

    Six thousand tests are taken out of what each later search for garbage looks at: 0.4 s each.
    """
    for item in session.items:
        module = item.getparent(pytest.Module)
        assert module is not None
        wanted = module.stash.setdefault(_WANTED, set())
        wanted.update(set(_SHARED).intersection(getattr(item, "fixturenames", ())))
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def event_loop_of_jupyter() -> Iterator[None]:
    """The loop that jupyter_client makes at first use and keeps; here it has an owner."""
    loop = ensure_event_loop()
    yield
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def kernels_start_warm() -> Iterator[None]:
    """Kernels under test are forked from a process that has imported them, unless one is cold."""
    with Zygote(*CHECKPOINTS) as Kernel.warm:
        yield
    Kernel.warm = None


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_behind(
    request: pytest.FixtureRequest, event_loop_of_jupyter: None, kernels_start_warm: None
) -> Iterator[None]:
    """Processes, threads and file descriptors after a module equal those before."""
    for name in sorted(request.node.stash.get(_WANTED, ())):
        request.getfixturevalue(name)  # what is shared is not this module's to end
    before = _holdings()
    yield
    gc.collect()
    # One that was killed is there for a moment longer; an end that nobody has fetched stays.
    still_alive(_children() - before["processes"], END_S)
    after = _holdings()
    # Else what a test has thawed, and what is imported, costs each later search 0.4 s and more.
    gc.freeze()
    left = {what: sorted(map(_told, after[what] - before[what])) for what in after}
    assert not any(left.values()), f"left behind: {left}"


@pytest.fixture(scope="module")
def flow() -> Iterator[Kernel]:
    """A kernel under test, shared by the module."""
    with Kernel(FLOW) as kernel:
        yield kernel.ready()


@pytest.fixture(scope="module")
def kernel(flow: Kernel) -> Kernel:
    """The same; a module that needs another one says so with a fixture of this name."""
    return flow


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Forks kernels that have at hand what a checkpoint of frames needs: 2 s to start."""
    with Zygote("numpy", "pandas", *CHECKPOINTS, *VERBS) as zygote:
        yield zygote


@pytest.fixture(scope="session")
def lean() -> Iterator[Zygote]:
    """The same without pandas: each checkpoint looks through what the libraries hold."""
    with Zygote("numpy", *CHECKPOINTS, *VERBS) as zygote:
        yield zygote


@pytest.fixture(scope="session")
def servers() -> Iterator[None]:
    """Servers of dashboard and sandbox are forked: more than a second of CPU less for each."""
    with Zygote(*SERVERS) as Served.warm:
        SandboxServer.warm = Served.warm
        yield
    Served.warm = SandboxServer.warm = None


@pytest.fixture
def own() -> Iterator[Kernel]:
    """A kernel under test whose workers and questions nobody else has."""
    with Kernel(FLOW) as kernel:
        yield kernel.ready()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A stock kernel and one under test, shared by the module."""
    with start_pair() as pair:
        yield pair


@pytest.fixture
def fresh_pair() -> Iterator[Pair]:
    """A stock kernel and one under test that no other test has touched."""
    with start_pair() as pair:
        yield pair


def _holdings() -> dict[str, set[Any]]:
    return {
        "processes": _children(),
        "threads": {f"{t.name} {t.ident}" for t in threading.enumerate()},
        "fds": {f"{fd} {target}" for fd, target in _descriptors()},
    }


def _children() -> set[psutil.Process]:
    """Those that have not ended; the system may list one for a moment after it has told its end."""
    return {one for one in psutil.Process().children(recursive=True) if not _is_over(one)}


def _is_over(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_DEAD)  # a zombie is one that nobody fetches
    except psutil.NoSuchProcess:
        return True


def _told(held: psutil.Process | str) -> str:
    # Not before: one that has just been started shows no command yet.
    if isinstance(held, str):
        return held
    try:
        return f"{held.pid} {' '.join(held.cmdline())}"
    except psutil.Error:
        return f"{held.pid} gone"


def _descriptors() -> Iterator[tuple[str, str]]:
    for entry in os.scandir("/proc/self/fd"):
        try:
            yield entry.name, str(Path(entry.path).readlink())
        except OSError:
            continue
