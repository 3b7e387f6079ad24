"""Cells that go on, however odd they look: the watchdog has to say nothing of any.

Called by `tests.flows.test_watchdog`. They stand in `tests/honest`, each below a line with its
name. Each runs for about `SECONDS`, which it finds set: the soak gives them ten, the fast
suite fewer, and only to those in `QUICK`.
"""

import re
from pathlib import Path
from typing import Final

_SCRIPT: Final = re.compile(r"^%% (\w+)\n(.*?)(?=^%% |\Z)", re.MULTILINE | re.DOTALL)

QUICK: Final = (
    *("repeats_a_statement", "repeats_a_short_loop_after_work", "numpy_svd", "naps"),
    *("waits_for_an_event_in_time", "event_set_by_an_alarm", "spins_until_an_alarm"),
    *("silent_socket", "thread_flips_a_flag", "thread_lets_a_lock_go", "asyncio_event"),
    *("sleeping_child", "multiprocessing_lock", "spins_on_shared_memory", "talks_slowly", "asks"),
    *("gives_up_for_a_signal_of_a_child", "lock_ended_by_the_handler_of_an_interrupt"),
    *("seventy_threads_of_which_the_last_works", "stopped_and_continued_by_a_child"),
)


def honest() -> dict[str, str]:
    """All of them, by name."""
    folder = Path(__file__).parent / "honest"
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]
    return {name: code for text in texts for name, code in _SCRIPT.findall(text)}
