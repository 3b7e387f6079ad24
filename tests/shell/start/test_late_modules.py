"""Modules that a starting kernel does not need are loaded when they are used, and are the same."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest
from dateutil.parser import isoparse
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.shell.start import late_modules
from flow_kernel.shell.start.late_names import OF_STOCK
from tests.environments import environment

_START: Final = """
import sys
from flow_kernel.shell.start import late_client, late_modules
late_client.defer()
with late_modules.late_modules():
    from flow_kernel.shell.kernel import FlowKernelApp
"""
_DEFERRED: Final = (
    "curses", "dateutil", "dateutil.parser", "dateutil.tz", "email", "importlib.metadata",
    "jupyter_client.client", "jupyter_client.manager", "packaging.version",
)  # fmt: skip


def _printed(program: str, start: str = _START) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", start + program],
        env=environment({}),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_import_of_the_kernel_loads_none_of_them() -> None:
    assert _printed(f"print([name for name in {_DEFERRED!r} if name in sys.modules])") == "[]\n"


def test_what_stock_would_have_loaded_is_known_by_name() -> None:
    loaded = "print(*sys.modules)"
    mine = set(_printed(loaded).split())
    stock = set(_printed(loaded, start="import flow_kernel.shell.kernel, sys\n").split())

    assert stock - mine - OF_STOCK == set()
    assert OF_STOCK & mine == set()


@pytest.mark.parametrize(
    "program",
    [
        "import dateutil.parser; print(dateutil.parser.isoparse('2026-01-31T00:00:00Z'))",
        "import jupyter_client.jsonutil as j; print(j.tzlocal().__class__)",
        "import jupyter_client.jsonutil as j; print(j.parse_date('2026-01-31T24:00:00+0100'))",
        "import jupyter_client.jsonutil as j; print(j.parse_date('2026-01-31T12:00:00.5Z'))",
        "from ipykernel import eventloops; print(eventloops.V('2.0') < eventloops.V('10.0'))",
        "import curses, packaging.version; print(curses.__name__, packaging.version.__name__)",
        "from tornado import log; print(log.curses.tigetnum.__name__)",
        "import jupyter_client; print([n for n in dir(jupyter_client) if n != 'jsonutil'])",
        "import jupyter_client; print(jupyter_client.__version__, type(jupyter_client))",
        "import jupyter_client; print(jupyter_client.provisioning.LocalProvisioner)",
        "import jupyter_client.manager as m, jupyter_client as j; print(m.KernelManager is"
        " j.KernelManager, type(j))",
        "from jupyter_client import *; print(KernelManager, write_connection_file.__name__)",
        "from jupyter_client import BlockingKernelClient; print(BlockingKernelClient)",
        "from jupyter_client import restarter; print(restarter.__name__)",
        "import jupyter_client; print(hasattr(jupyter_client, 'nothing'))",
        "from jupyter_client import consoleapp; print(consoleapp.KernelManager)",
    ],
)
def test_what_is_asked_of_them_is_answered_as_elsewhere(program: str) -> None:
    assert _printed(program) == _printed(program, start="import ipykernel.kernelapp\n")


def test_threads_that_ask_at_once_all_get_an_answer() -> None:
    program = """
import threading
import jupyter_client
gate = threading.Barrier(8)
found = []
def ask(number):
    gate.wait()
    if number % 2:
        import jupyter_client.manager as manager
        found.append(manager.KernelManager)
    else:
        found.append(jupyter_client.KernelManager)
threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
for one in threads: one.start()
for one in threads: one.join(30)
print(len(found), len(set(found)), type(jupyter_client).__name__)
"""
    assert _printed(program) == "8 1 module\n"


def test_a_package_that_cannot_be_loaded_can_be_asked_again() -> None:
    program = """
import jupyter_client
sys.modules["jupyter_client.launcher"] = None
try:
    jupyter_client.KernelManager
except ImportError:
    del sys.modules["jupyter_client.launcher"]
print(jupyter_client.KernelManager)
"""
    assert _printed(program) == "<class 'jupyter_client.manager.KernelManager'>\n"


_TIMES: Final = st.datetimes(
    min_value=datetime(1000, 1, 1),  # noqa: DTZ001 - the zone is drawn
    timezones=st.just(UTC)
    | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(_TIMES, st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]), st.booleans())
def test_a_date_is_the_one_that_dateutil_reads(time: datetime, spec: str, ends_in_z: bool) -> None:
    text = time.isoformat(timespec=spec)
    if ends_in_z:
        text = text.replace("+00:00", "Z")
    mine, other = late_modules._date(text), isoparse(text)
    assert (mine, mine.utcoffset()) == (other, other.utcoffset())


@pytest.mark.parametrize("text", ["", "2026-13-01T00:00:00Z", "2026-01-31T00:00:61"])
def test_what_is_no_date_is_refused_as_by_dateutil(text: str) -> None:
    said = []
    for read in (isoparse, late_modules._date):
        try:
            read(text)
        except ValueError as error:
            said.append(str(error))
    assert said == [said[0]] * 2
