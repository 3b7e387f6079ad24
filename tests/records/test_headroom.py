"""How much memory is left, on machines with and without control groups.

The files of other machines are written by hand: no test can have a container of each kind.
"""

import os
import sys
from pathlib import Path

import pytest

from flow_kernel.records.headroom import Headroom

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

MACHINE = 8 * 1024**3
V1, V2 = "sys/fs/cgroup/memory", "sys/fs/cgroup"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "proc/meminfo", f"MemTotal: 9 kB\nMemAvailable:   {MACHINE // 1024} kB\n")
    return tmp_path


def left(root: Path) -> int | None:
    headroom = Headroom(root)
    try:
        return headroom()
    finally:
        headroom.close()


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def group_v2(root: Path, path: str, limit: object, usage: int, inactive: int = 0) -> None:
    write(root, f"{V2}/{path}/memory.max", f"{limit}\n")
    write(root, f"{V2}/{path}/memory.current", f"{usage}\n")
    write(root, f"{V2}/{path}/memory.stat", f"anon 1\ninactive_file {inactive}\n")


def group_v1(root: Path, path: str, limit: int, usage: int, inactive: int = 0) -> None:
    write(root, f"{V1}/{path}/memory.limit_in_bytes", f"{limit}\n")
    write(root, f"{V1}/{path}/memory.usage_in_bytes", f"{usage}\n")
    write(root, f"{V1}/{path}/memory.stat", f"inactive_file 7\ntotal_inactive_file {inactive}\n")


def descriptor_of(path: Path) -> int:
    """That by which this process has a file open."""
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_symlink() and entry.readlink() == path:
            return int(entry.name)
    raise AssertionError("it is not open")


def test_a_machine_without_groups_has_what_it_says(root: Path) -> None:
    assert left(root) == MACHINE


def test_a_system_that_does_not_say_is_unknown(tmp_path: Path) -> None:
    assert left(tmp_path) is None


def test_the_tightest_group_of_the_second_version_decides(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/user/cell\n")
    group_v2(root, "user", 2_000, 1_500)
    group_v2(root, "user/cell", 1_500, 500)
    assert left(root) == 500


def test_what_a_group_can_give_back_is_left(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/\n")
    group_v2(root, "", 1_000, 900, inactive=300)
    assert left(root) == 400


def test_groups_of_the_first_version_count_and_unlimited_ones_do_not(root: Path) -> None:
    write(root, "proc/self/cgroup", "4:cpu,memory:/a/b\n0::/\n")
    group_v1(root, "a", 9223372036854771712, 5)
    group_v1(root, "a/b", 3_000, 2_000, inactive=1)
    assert left(root) == 1_001
    group_v1(root, "a/b", 3_000, 4_000)
    assert left(root) == 0


def test_a_container_sees_its_limit_at_the_mount(root: Path) -> None:
    write(root, "proc/self/cgroup", "4:memory:/docker/0123\n0::/../../x\n")
    group_v1(root, "", 5_000, 1_000)
    assert left(root) == 4_000


def test_a_group_without_a_limit_is_the_machine(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/user\n")
    group_v2(root, "user", "max", 1_500)
    assert left(root) == MACHINE


def test_what_changes_is_seen_and_files_that_a_cell_has_closed_are_opened_again(root: Path) -> None:
    headroom = Headroom(root)
    assert headroom() == MACHINE
    os.close(descriptor_of(root / "proc/meminfo"))
    write(root, "proc/meminfo", "MemAvailable: 5 kB\n")
    assert headroom() == 5 * 1024
    headroom.close()
    assert headroom() is None
