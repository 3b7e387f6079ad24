"""The rules of the watchdog, sample by sample."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from flow_kernel.workers import blocking
from flow_kernel.workers.blocking import Detector, Finding, Sample
from flow_kernel.workers.glimpses import Glimpse
from flow_kernel.workers.loop_proof import Verdict
from flow_kernel.workers.thread_looks import Doing, ThreadLook

STEP_S = 0.1


def glimpse(**other: Any) -> Glimpse:
    known: dict[str, Any] = {
        "msg_id": "m",
        "place": 7,
        "alike": 1,
        "loop": Verdict.OPEN,
        "ours": (1,),
        "is_open": False,
        "takes_dump": True,
        "stack": (),
    }
    return Glimpse(**known | other)


def samples(seconds: float, *, cpu: float, doing: Doing, **other: Any) -> Iterator[Sample]:
    """Ten a second, of a cell that does the same all the time."""
    is_for_ever, looks = other.pop("is_for_ever", False), other.pop("glimpse", {})
    is_silent = other.pop("is_silent", False)
    for number in range(1, int(seconds / STEP_S) + 1):
        at_s = number * STEP_S
        seen = at_s > blocking.QUIET_S
        known: dict[str, Any] = {
            "at_s": at_s,
            "main": ThreadLook(doing=doing, wanted_s=cpu * at_s, is_for_ever=is_for_ever),
            "burnt_s": cpu * at_s,
            "number": number if seen and not is_silent else 0,
            "glimpse": glimpse(alike=number - 9, **looks) if seen and not is_silent else None,
            "are_others_waiting": True if seen else None,
        }
        yield Sample(**known | other)


def told(seconds: float, **how: Any) -> list[tuple[float, str, str, str]]:
    """When, and what, as often as it changes."""
    detector, found = Detector(memory_bytes=how.pop("memory_bytes", None)), []
    before: Finding | None = None
    for sample in samples(seconds, **how):
        now = detector.see(sample)
        if now is not None and (before is None or now.confidence != before.confidence):
            found.append((round(sample.at_s, 1), now.reason, now.detail, now.confidence))
        before = now
    return found


LOOP = {"cpu": 1.0, "doing": Doing.COMPUTING}
STUCK = {"cpu": 0.0, "doing": Doing.LOCK, "is_for_ever": True}


def test_a_proved_loop_is_certain_after_a_second_of_looks() -> None:
    assert told(5, **LOOP, glimpse={"loop": Verdict.ENDLESS}) == [
        (2.1, "infinite_loop", "repeats", "certain")
    ]


@pytest.mark.parametrize(
    "how",
    [
        {"glimpse": {"loop": Verdict.ENDLESS, "is_open": True}},
        {"glimpse": {"loop": Verdict.ENDLESS}, "are_others_waiting": False},
        {"glimpse": {"loop": Verdict.ENDLESS}, "are_others_waiting": None},
        {"glimpse": {"loop": Verdict.WAITS}},
    ],
)
def test_a_loop_that_somebody_may_end_is_suspected_after_half_a_minute(how: Any) -> None:
    assert told(29, **LOOP, **how) == []
    assert told(33, **LOOP, **how) == [(31.1, "infinite_loop", "spins", "suspected")]


def test_honest_work_is_no_block_however_long_it_takes() -> None:
    assert told(300, **LOOP) == []
    assert told(300, cpu=0.0, doing=Doing.SLEEPING) == []
    assert told(300, cpu=0.0, doing=Doing.IO) == []
    assert told(300, cpu=0.0, doing=Doing.CHILD, processes=2) == []


def test_a_loop_that_takes_little_of_a_processor_is_none() -> None:
    assert told(60, cpu=0.5, doing=Doing.COMPUTING, glimpse={"loop": Verdict.ENDLESS}) == []


def test_a_lock_that_nobody_can_let_go_is_a_deadlock() -> None:
    assert told(5, **STUCK) == [(2.2, "unknown", "deadlock", "certain")]
    assert told(60, **STUCK, glimpse={"is_open": True}) == [
        (31.1, "unknown", "deadlock", "suspected")
    ]


@pytest.mark.parametrize(
    "other", [{"are_others_waiting": False}, {"are_others_waiting": None}, {"processes": 2}]
)
def test_a_lock_that_somebody_may_let_go_is_none(other: Any) -> None:
    assert told(60, **STUCK, **other) == []


def test_a_silent_sampler_beside_a_busy_process_means_the_gil_is_held() -> None:
    silent = {"is_silent": True, "is_gil_wanted": True}
    assert told(6, **LOOP, **silent) == [(3.5, "unknown", "gil_held", "likely")]
    assert told(6, cpu=0.2, doing=Doing.COMPUTING, **silent) == []
    assert told(60, cpu=0.0, doing=Doing.SLEEPING, **silent) == []


def test_a_sampler_that_waits_for_nothing_is_silent_because_it_is_broken() -> None:
    assert told(60, **LOOP, is_silent=True) == []


def test_the_gil_is_noted_before_it_is_told() -> None:
    detector = Detector()
    for sample in samples(2.5, **LOOP, is_silent=True, is_gil_wanted=True):
        assert detector.see(sample) is None
    assert (detector.is_gil_held, detector.doing) == (True, "gil_held")


def test_without_a_sampler_nothing_is_said_of_code() -> None:
    assert told(60, **LOOP, is_silent=True, is_gil_wanted=True, burnt_s=None) == []


def test_a_stopped_process_is_told_within_a_second() -> None:
    assert told(3, cpu=0.0, doing=Doing.STOPPED) == [(0.9, "unknown", "stopped", "certain")]


def test_many_processes_are_told_at_once_and_a_flood_for_certain() -> None:
    assert told(1, **LOOP, processes=64) == []
    assert told(1, **LOOP, processes=65) == [(0.1, "cpu_exhausted", "processes", "likely")]
    assert told(1, **LOOP, processes=257) == [(0.1, "cpu_exhausted", "processes", "certain")]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((100, 300, 700), []),
        ((860, 860, 860), []),
        ((700, 800, 880), ["near_limit"]),
        ((700, 800, 1001), ["over_limit"]),
    ],
)
def test_memory_is_told_when_its_limit_is_near(sizes: tuple[int, ...], expected: list[str]) -> None:
    detector = Detector(memory_bytes=1000)
    seen = [
        detector.see(Sample(at_s=STEP_S * number, rss_bytes=size))
        for number, size in enumerate(sizes, 1)
    ]
    assert [found.detail for found in seen if found is not None] == expected


def test_a_clear_case_is_looked_at_less_often() -> None:
    for how in (LOOP, {"cpu": 0.0, "doing": Doing.SLEEPING}):
        detector = Detector()
        for sample in samples(5, **how):
            detector.see(sample)
        assert detector.interval_s == blocking.SLOW_S


def test_a_loop_that_goes_on_is_no_block_any_more() -> None:
    detector = Detector()
    for sample in samples(3, **LOOP, glimpse={"loop": Verdict.ENDLESS}):
        last = detector.see(sample)
    assert last is not None
    after = Sample(
        at_s=3.1,
        main=ThreadLook(doing=Doing.COMPUTING, wanted_s=3.1),
        burnt_s=3.1,
        number=99,
        glimpse=glimpse(place=8),
        are_others_waiting=True,
    )
    assert detector.see(after) is None


@pytest.mark.parametrize(
    "how",
    [LOOP | {"glimpse": {"loop": Verdict.ENDLESS}}, STUCK, {"cpu": 0.0, "doing": Doing.STOPPED}],
)
def test_nothing_is_certain_while_a_process_of_the_cell_may_send_a_signal(how: Any) -> None:
    assert told(28, **how, processes=2) == []
    assert not [found for found in told(60, **how, processes=2) if found[-1] == "certain"]


def test_a_lock_is_no_deadlock_while_other_threads_take_turns() -> None:
    detector = Detector()
    for sample in samples(20, **STUCK):
        assert detector.see(replace(sample, others_wanted_s=sample.at_s / 5)) is None


def test_a_worker_that_a_debugger_looks_at_is_not_called_stopped() -> None:
    detector = Detector()
    traced = ThreadLook(doing=Doing.STOPPED, wanted_s=0.0, is_traced=True)
    for sample in samples(60, cpu=0.0, doing=Doing.STOPPED):
        assert detector.see(replace(sample, main=traced)) is None


def test_a_large_machine_may_have_more_processes() -> None:
    found = [Detector(cores=128).see(Sample(at_s=1, processes=count)) for count in (400, 600, 3000)]
    assert [each and each.confidence for each in found] == [None, "likely", "certain"]


SILENT = {"cpu": 0.0, "doing": Doing.SLEEPING, "is_silent": True}


def test_a_worker_that_is_silent_and_still_for_a_minute_is_lost() -> None:
    assert told(59, **SILENT, beats=3) == []
    assert told(61, **SILENT, beats=3) == [(60.1, "unknown", "lost", "likely")]
    assert told(300, **SILENT) == []  # nobody asks


def test_any_sign_of_life_is_enough() -> None:
    assert told(300, **SILENT | {"cpu": 0.01}, beats=3) == []
    assert told(300, **SILENT | {"is_silent": False}, beats=3) == []
    detector = Detector()
    for sample in samples(300, **SILENT):
        assert detector.see(replace(sample, beats=int(sample.at_s / 50))) is None


def test_the_time_that_the_session_slept_is_no_silence() -> None:
    detector = Detector()
    for at_s in range(0, 3600, 120):
        assert detector.see(Sample(at_s=at_s, beats=0)) is None


def test_a_worker_on_another_machine_is_lost_when_it_answers_no_more() -> None:
    detector = Detector()
    found = [detector.see(Sample(at_s=tick / 2, beats=1)) for tick in range(140)]
    assert {each.detail for each in found if each is not None} == {"lost"}
