"""The dashboard with 100,000 records: what a person waits for.

Called by `run.py`. The records lie in the page cache, and the server is running. First paint is the
time from the navigation to the first row in Chromium, which has nothing in its cache; a page is one
answer of the server; live is from the write of a record to its message. The watchers are WebSockets
of one client, which reads them one after the other: the last one has its message when all have.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alone
from sample_records import write_home

from flow_kernel.apps.server.live import SPACING_S
from tests.apps.sample_log import SampleLog
from tests.dashboard import Listener, Served, window

_RECORDS: Final = 100_000
_PAINT: Final = Figure(
    name="dashboard_paint",
    title="the dashboard's first paint with 100,000 records",
    unit="ms",
    target=Target(at_most=1000),
)
_PAGE: Final = Figure(
    name="dashboard_page",
    title="a page of 100 records out of 100,000",
    unit="ms",
    target=Target(at_most=100),
)
_SEARCH: Final = Figure(
    name="dashboard_search",
    title="a search through 24 MB that finds nothing",
    unit="ms",
    target=Target(at_most=1000),
)
_LIVE: Final = Figure(
    name="dashboard_live",
    title="from the write of a record to the message of a watcher",
    unit="ms",
    target=Target(at_most=250),
)
_WATCHERS: Final = 100
_ALL_TOLD: Final = Figure(
    name="dashboard_watchers",
    title="from the end of a cell to the message of the last of 100 watchers",
    unit="ms",
    target=Target(at_most=500),
)
_ERRORS: Final = Figure(
    name="dashboard_watcher_errors",
    title="the dashboard: errors of 100 watchers at once, each told of every cell",
    unit="errors",
    target=Target(at_most=0),
)


def _home(bench: Bench) -> tuple[Path, Path]:
    root = bench.folder("dashboard")
    home = root / "work" / ".flow"
    write_home(home, records=bench.count(_RECORDS, 500), rng=bench.rng)
    return root, home


def paint(bench: Bench) -> list[Result]:
    """The first row is on the screen."""
    root, home = _home(bench)
    times_ms = []
    with Served(root, home) as served, window() as page:
        for _ in range(bench.count(15, 2)):
            context = page.context.browser.new_context()  # type: ignore[union-attr]  # it was launched
            fresh = context.new_page()
            began = time.perf_counter()
            fresh.goto(served.page, wait_until="commit")
            fresh.locator(".row").first.wait_for()
            times_ms.append((time.perf_counter() - began) * 1000)
            context.close()
    return [alone(_PAINT, times_ms)]


def pages(bench: Bench) -> list[Result]:
    """One page after the other, and a search."""
    root, home = _home(bench)
    pages_ms, searches_ms = [], []
    with Served(root, home) as served:
        cursor = ""
        for _ in range(bench.count(100, 3)):
            began = time.perf_counter()
            found = served.get("records", limit=100, cursor=cursor)
            pages_ms.append((time.perf_counter() - began) * 1000)
            cursor = found["next"] or ""
        for _ in range(bench.count(15, 2)):
            began = time.perf_counter()
            served.get("records", limit=100, q="nowhere_to_be_found")
            searches_ms.append((time.perf_counter() - began) * 1000)
    return [alone(_PAGE, pages_ms), alone(_SEARCH, searches_ms)]


def live(bench: Bench) -> list[Result]:
    """One record at a time, each once a watcher may be told something again."""
    root, home = _home(bench)
    times_ms = []
    with Served(root, home) as served, served.listen() as listener:
        listener.message()
        log = SampleLog(home, task="T-0500")
        for number in range(bench.count(60, 3)):
            text = f"live_{number} = 1"
            time.sleep(SPACING_S * (1 + bench.rng.random()))
            began = time.perf_counter()
            log.put("cell", code=text, success=True, status="ok")
            _hear(listener, text)
            times_ms.append((time.perf_counter() - began) * 1000)
    return [alone(_LIVE, times_ms)]


def watchers(bench: Bench) -> list[Result]:
    """As `live`, with 100 watchers; one that fails is an error, and is heard no more."""
    root, home = _home(bench)
    times_ms, errors = [], 0
    with ExitStack() as stack:
        served = stack.enter_context(Served(root, home))
        listeners = [stack.enter_context(served.listen()) for _ in range(_WATCHERS)]
        errors += sum(each.status != 101 or each.message() != {} for each in listeners)
        log = SampleLog(home, task="T-0500")
        for number in range(bench.count(60, 3)):
            text = f"watched_{number} = 1"
            time.sleep(SPACING_S * (1 + bench.rng.random()))
            began = time.perf_counter()
            log.put("cell", code=text, success=True, status="ok")
            for each in [*listeners]:
                try:
                    _hear(each, text)
                except (OSError, KeyError):
                    errors += 1
                    listeners.remove(each)
            times_ms.append((time.perf_counter() - began) * 1000)
        errors += served.said().count("Traceback")
    return [alone(_ALL_TOLD, times_ms), alone(_ERRORS, [float(errors)])]


def _hear(listener: Listener, text: str) -> None:
    """Read up to the record that says `text`."""
    while not any(row["text"] == text for row in listener.message()["rows"]):
        pass


BENCHMARKS: Final = (
    Benchmark(name="dashboard_paint", about=_PAINT.title, run=paint),
    Benchmark(name="dashboard_pages", about="pages and searches of a long log", run=pages),
    Benchmark(name="dashboard_live", about=_LIVE.title, run=live),
    Benchmark(name="dashboard_watchers", about="100 watchers of a long log", run=watchers),
)
