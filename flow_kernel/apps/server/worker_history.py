"""What workers used in the last minutes, kept in memory while somebody watches.

Made by `dashboard`; sampled by the thread of `live`, asked by the handlers of workers.
"""

import threading
import time
from collections import deque
from typing import Final

from flow_kernel.records.home import Home
from flow_kernel.session.isolation.worker_looks import Looks, WorkerView

SAMPLES: Final = 120
EVERY_S: Final = 2.0
_MOST_WORKERS: Final = 200
_FORGOTTEN_S: Final = 600.0

Key = tuple[str, str, int | None]


class WorkerHistory:
    """CPU and memory of each worker of a home, the last `SAMPLES` of them."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._looks = Looks()
        self._lock = threading.Lock()
        self._samples: dict[Key, deque[tuple[int, float | None, int | None]]] = {}
        self._seen_s: dict[Key, float] = {}
        self._last_s = 0.0

    def sample(self) -> None:
        """Look, unless somebody did within the last two seconds."""
        if time.monotonic() - self._last_s >= EVERY_S:
            self.views()

    def views(self) -> list[WorkerView]:
        """The workers as they are now, which is a sample, too."""
        with self._lock:
            views = self._looks.at_home(self._home)
            now_s = time.monotonic()
            if now_s - self._last_s >= EVERY_S / 2:
                self._last_s = now_s
                self._keep(views, now_s)
            return views

    def queue(self) -> int:
        """How many cells wait for a worker."""
        return self._looks.queue_at(self._home)

    def of(self, view: WorkerView) -> list[tuple[int, float | None, int | None]]:
        """Time in Unix milliseconds, CPU and bytes of a worker, oldest first."""
        with self._lock:
            return [*self._samples.get(_key(view), ())]

    def _keep(self, views: list[WorkerView], now_s: float) -> None:
        at_ms = int(time.time() * 1000)
        for view in views[:_MOST_WORKERS]:
            samples = self._samples.setdefault(_key(view), deque(maxlen=SAMPLES))
            samples.append((at_ms, view.cpu_pct, view.rss_bytes))
            self._seen_s[_key(view)] = now_s
        for key in [key for key, at_s in self._seen_s.items() if now_s - at_s > _FORGOTTEN_S]:
            del self._seen_s[key], self._samples[key]


def _key(view: WorkerView) -> Key:
    return view.session, view.line.worker_id, view.line.pid
