"""What follows of what is known of a session before it is copied."""

import pytest

from flow_kernel.session.isolation.fork_guard import Facts, Verdict, judge


def test_a_session_of_which_nothing_is_known_is_copied_without_a_word() -> None:
    assert judge(Facts()) == Verdict()


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (Facts(is_copy=True), "this is a copy of the session already"),
        (Facts(can_fork=False), "only Linux has a fork that a session survives"),
        (Facts(has_memory=False), "there is not enough free memory for a copy"),
        (
            Facts(devices=("/dev/nvidia0",)),
            "/dev/nvidia0 is open, whose driver does not outlive a fork",
        ),
        (
            Facts(pools=("polars", "grpc")),
            "grpc and polars has begun threads, which a copy would wait for for ever",
        ),
        (
            Facts(held_locks=("lock",)),
            "lock is a lock that is held, and nobody would let it go in a copy",
        ),
    ],
)
def test_what_does_not_outlive_a_fork_is_refused_with_its_reason(facts: Facts, said: str) -> None:
    verdict = judge(facts)
    assert verdict.refusal == said
    assert verdict.hint


def test_what_is_shared_is_said_and_openmp_is_held_to_one_thread() -> None:
    verdict = judge(Facts(has_openmp=True, shared=(("base", "a database of SQLite"),)))
    assert (verdict.refusal, verdict.has_one_thread) == ("", True)
    assert [warning.split()[0] for warning in verdict.warnings] == ["base", "OpenMP"]
