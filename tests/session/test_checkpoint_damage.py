"""Flipped bits and cut files: never another value, never a wrong name, and the others load."""

import random
from pathlib import Path

import pytest

from tests.session.damaged_stores import KINDS, DamagedStore

FAST = 2_000
SOAK = 100_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DamagedStore:
    return DamagedStore(Path(tmp_path_factory.mktemp("home")))


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named_and_costs_only_what_it_hit(store: DamagedStore, kind: str) -> None:
    dice = random.Random(kind)
    for _ in range(-(-FAST // len(KINDS))):
        store.trial(kind, dice)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named_and_costs_only_what_it_hit_a_hundred_thousand_times(
    store: DamagedStore, kind: str, seed: int
) -> None:
    dice = random.Random(f"{kind} {seed}")
    for _ in range(-(-SOAK // len(KINDS) // 10)):
        store.trial(kind, dice)
