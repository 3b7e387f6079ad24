"""Whether the session can be copied by a fork for one cell, and what is said first (pure).

Called by `forking` before each fork, with what `fork_facts` has found.

A fork takes one thread along. What other threads were about to do is never done in the copy, and a
lock that one of them holds stays held; what lies outside of the memory is shared with the session.

    found                                             verdict
    no fork on this system; no memory to spare        refused
    a device of CUDA is open                          refused: its driver does not outlive a fork
    polars, grpc, tensorflow, jax have begun threads  refused: their next call would wait for them
    a lock that the cell reads is held                refused: nobody would let it go
    OpenMP has begun threads                          one thread in the copy, said once
    the cell reads a socket or a database             warned: both would speak on one connection
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_ELSE: Final = "run the cell without --fork: a worker is sent the variables that it reads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the session before a fork.

    Attributes:
        can_fork: The system has a fork that is of use.
        is_copy: This process is a copy itself.
        has_memory: There is memory for what a copy may write.
        devices: Devices that are open and do not outlive a fork.
        pools: Libraries whose threads are at work.
        has_openmp: Threads of OpenMP may wait for work.
        held_locks: Names that the cell reads and whose lock is held.
        shared: Names that the cell reads, each with what it speaks through.
    """

    can_fork: bool = True
    is_copy: bool = False
    has_memory: bool = True
    devices: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    has_openmp: bool = False
    held_locks: tuple[str, ...] = ()
    shared: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows.

    Attributes:
        refusal: Why there is no fork, in a part of a sentence; empty where there is one.
        hint: What to do instead.
        warnings: What a person is told before it.
        has_one_thread: OpenMP is held to one thread in the copy.
    """

    refusal: str = ""
    hint: str = ""
    warnings: tuple[str, ...] = ()
    has_one_thread: bool = False


def judge(facts: Facts) -> Verdict:
    """What follows of `facts`; the table is on top of this file."""
    refusal, hint = _refusal(facts)
    if refusal:
        return Verdict(refusal=refusal, hint=hint)
    warnings = [
        f"{name} ({what}) is shared with the copy: what the cell says on it is said for the session"
        for name, what in facts.shared
    ]
    if facts.has_openmp:
        warnings.append("OpenMP has one thread in the copy, where its others are not")
    return Verdict(warnings=tuple(warnings), has_one_thread=facts.has_openmp)


def _refusal(facts: Facts) -> tuple[str, str]:
    held, devices, pools = map(_and, (facts.held_locks, facts.devices, facts.pools))
    table = (
        (facts.is_copy, "this is a copy of the session already", "a copy makes no other one"),
        (not facts.can_fork, "only Linux has a fork that a session survives", _ELSE),
        (devices, f"{devices} is open, whose driver does not outlive a fork", _ELSE),
        (pools, f"{pools} has begun threads, which a copy would wait for for ever", _ELSE),
        (
            held,
            f"{held} is a lock that is held, and nobody would let it go in a copy",
            "run the cell again once it is free",
        ),
        (not facts.has_memory, "there is not enough free memory for a copy", _ELSE),
    )
    return next(((reason, hint) for is_so, reason, hint in table if is_so), ("", ""))


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))
