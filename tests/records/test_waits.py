"""A wait without an end is ended by what it waits for, and by an interrupt wherever it comes."""

import signal
import sys
import threading
from collections.abc import Callable

from flow_kernel.records import waits


def is_in(wait: Callable[..., object]) -> bool:
    """True while the main thread is in something that `wait` has called."""
    main = threading.main_thread().ident
    assert main is not None
    frame = sys._current_frames()[main].f_back
    while frame is not None and frame.f_code is not wait.__code__:
        frame = frame.f_back
    return frame is not None


def interrupt_once_it_is_in(wait: Callable[..., object]) -> None:
    """As one that the system gives to this thread, which does not end what the main one is in."""
    while not is_in(wait):
        pass
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def is_interrupted(wait: Callable[..., object], *arguments: object) -> bool:
    sender = threading.Thread(target=interrupt_once_it_is_in, args=(wait,))
    sender.start()
    try:
        wait(*arguments)
    except KeyboardInterrupt:
        return True
    finally:
        sender.join()
    return False


def test_an_event_that_comes_ends_the_wait() -> None:
    event = threading.Event()
    threading.Timer(0, event.set).start()
    assert waits.wait(event)
    assert waits.wait(event, 0)


def test_an_event_that_does_not_come_is_waited_for_as_long_as_was_said() -> None:
    assert not waits.wait(threading.Event(), 0.15)
    assert not waits.wait(threading.Event(), -1)


def test_an_interrupt_that_another_thread_got_ends_the_wait_for_an_event() -> None:
    assert is_interrupted(waits.wait, threading.Event())
