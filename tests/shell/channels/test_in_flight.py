"""What has been handed over and has not left is counted, and waited for a little."""

from pathlib import Path

from tests.publishers import WAIT_S, published_by

_LOOKED_AT_TWICE = """
flight, code = thread.in_flight, type(thread.in_flight)._look.__code__
left = []
def wait_for(happened):
    until = time.monotonic() + 10
    while not happened() and time.monotonic() < until:
        time.sleep(0.001)

for line in sorted({line for *_, line in code.co_lines() if line is not None}):
    first, second = flight.watched(b"x" * 70_000), flight.watched(b"y" * 300_000)
    del first  # it has left
    wait_for(lambda: flight._frames[0][1].done)

    def trace(frame, event, _):
        if frame.f_code is not code:
            return None
        if event == "line" and frame.f_lineno == line:
            sys.settrace(None)
            flight._look()  # as another thread does, in the midst of it
        return trace

    sys.settrace(trace)
    flight._look()
    sys.settrace(None)
    del second
    wait_for(lambda: all(tracker.done for _, tracker in flight._frames))
    flight._look()
    left.append(flight._nbytes)
last()
print(set(left), flush=True)
end()
"""


def test_nothing_is_counted_twice_when_two_look_at_once(tmp_path: Path) -> None:
    with published_by(_LOOKED_AT_TWICE, tmp_path) as (process, client):
        client.until("last")
        assert process.wait(WAIT_S) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "{0}\n"
