"""A death is claimed once; a live session never."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from flow_kernel.records import lease
from flow_kernel.records.process import is_alive, start_time, this_process

TAKE = """
import sys
from pathlib import Path
from flow_kernel.records import lease
lease.take(Path(sys.argv[1]), session=sys.argv[2], plan_id="local", task_id="T-0000",
           started_at="2026-01-01T00:00:00.000Z", notebook="")
"""


def die_with_a_lease(run_dir: Path, session: str) -> None:
    subprocess.run([sys.executable, "-c", TAKE, str(run_dir), session], check=True)


def take_here(run_dir: Path, session: str) -> Path:
    return lease.take(
        run_dir, session=session, plan_id="local", task_id="T-0000", started_at="", notebook=""
    )


def test_a_dead_session_is_claimed_by_exactly_one_of_many(tmp_path: Path) -> None:
    die_with_a_lease(tmp_path, "d" * 32)
    claimers = [f"{i:032x}" for i in range(8)]
    for claimer in claimers:
        take_here(tmp_path, claimer)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda who: list(lease.claim_dead(tmp_path, who)), claimers))
    assert sum(len(claim) for claim in claims) == 1


def test_a_live_lease_is_never_dead(tmp_path: Path) -> None:
    path = take_here(tmp_path, "a" * 32)
    assert list(lease.claim_dead(tmp_path, "b" * 32)) == []
    assert path.exists()


def test_a_claim_whose_claimer_died_is_claimed_again(tmp_path: Path) -> None:
    die_with_a_lease(tmp_path, "d" * 32)
    ((_, claimed),) = lease.claim_dead(tmp_path, "c" * 32)
    assert list(lease.claim_dead(tmp_path, "c" * 32)) == []
    ((again, path),) = lease.claim_dead(tmp_path, "e" * 32)
    assert again.session == "d" * 32
    assert path.exists()
    assert not claimed.exists()


def test_a_claim_whose_claimer_lives_is_left_to_it(tmp_path: Path) -> None:
    die_with_a_lease(tmp_path, "d" * 32)
    take_here(tmp_path, "c" * 32)
    assert len(list(lease.claim_dead(tmp_path, "c" * 32))) == 1
    assert list(lease.claim_dead(tmp_path, "e" * 32)) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"null", b"\xff", b'{"session": 5}'])
def test_a_file_that_is_no_lease_of_ours_is_left_alone(tmp_path: Path, content: bytes) -> None:
    foreign = tmp_path / "x.lease"
    foreign.write_bytes(content)
    assert list(lease.claim_dead(tmp_path, "b" * 32)) == []
    assert foreign.read_bytes() == content


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    here = this_process()
    assert is_alive(here, here)
    assert not is_alive(replace(here, start_time="1"), here)
    assert not is_alive(replace(here, boot_id="another boot"), here)


def test_what_cannot_be_judged_counts_as_alive() -> None:
    here = this_process()
    assert is_alive(replace(here, host="elsewhere", pid=1, start_time="0"), here)
    assert is_alive(replace(here, pid_namespace="pid:[1]", start_time="0"), here)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(child.pid) is None
    child.wait()


def test_the_lease_is_private_and_says_who_holds_it(tmp_path: Path) -> None:
    path = take_here(tmp_path, "a" * 32)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_bytes())["process"]["pid"] == os.getpid()
