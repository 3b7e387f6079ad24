"""Disks that are really full: a tiny tmpfs, and a limit on the size of files."""

from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.scan import verify
from tests.mounting import NAMESPACE, require_mounts
from tests.records.journals import run_python, seqs_of

_START = """
import json, os, resource, signal, sys
from pathlib import Path
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.scan import verify
home = Home(Path(sys.argv[1]))
said = []
journal = Journal(home, "5e" * 16, on_trouble=said.append)
other = Journal(home, "07" * 16)
def note(journal=journal, size=1300):
    return journal.append("late", "local", "T-0000", {"text": "x" * size})
"""


@pytest.mark.parametrize("size", [10, 1300, 9000])
def test_a_full_disk_costs_no_record_once_there_is_room_again(tmp_path: Path, size: int) -> None:
    """Not one line is damaged either: a line that was cut off by the full disk is completed."""
    require_mounts(tmp_path)
    program = """
import subprocess
size = int(sys.argv[2])
root = home.root.parent
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", root], check=True)
assert note() == 1
ballast = root / "ballast"
ballast.write_bytes(b"x" * 200_000)
results = []
while None not in results[:-20]:
    results.append(note(size=size))
assert len(said) == 1 and "No space left on device" in said[0], said
assert journal.is_memory_only
ballast.unlink()
assert note() == len(results) + 2
assert not journal.is_memory_only
journal.close()
verdict = verify(home.log_files())
print(json.dumps([verdict.ok, verdict.records - len(results)]))
"""
    printed = run_python(
        _START + program, tmp_path / "disk" / ".flow", size, under=_under(tmp_path)
    )

    assert printed == "[true, 2]\n"


def _under(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "disk").mkdir()
    return NAMESPACE


@pytest.mark.parametrize("limit", [3000, 4096, 4097, 5555])
def test_a_limit_on_file_sizes_costs_no_record_once_it_is_lifted(
    tmp_path: Path, limit: int
) -> None:
    program = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
results = [note() for _ in range(10)]
assert results[-1] is None and said[0].endswith("(File too large); recording goes on in memory")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert note() == 11 and len(said) == 1
journal.close()
"""
    run_python(_START + program, tmp_path, limit)

    home = Home(tmp_path)
    assert seqs_of(home) == list(range(1, 12))
    assert verify(home.log_files()).ok


def test_a_line_cut_off_by_the_limit_is_the_only_damage_among_several_writers(
    tmp_path: Path,
) -> None:
    program = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
assert [note() for _ in range(5)] == [1, 2, 3, None, None]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert note(other) == 1
assert note() == 6
journal.close()
other.close()
"""
    run_python(_START + program, tmp_path)

    home = Home(tmp_path)
    verdict = verify(home.log_files())
    assert (len(verdict.damaged), verdict.records, verdict.gaps) == (1, 7, ())
    assert {r.reason for r in verdict.damaged} == {"no checksum at the end of the line"}


def test_a_process_that_dies_in_an_outage_leaves_only_what_it_acknowledged(tmp_path: Path) -> None:
    program = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
assert [note() for _ in range(5)] == [1, 2, 3, None, None]
os.write(1, b"dying")
os.kill(os.getpid(), signal.SIGKILL)
"""
    with pytest.raises(AssertionError):
        run_python(_START + program, tmp_path)

    home = Home(tmp_path)
    verdict = verify(home.log_files())
    assert [damage.reason for damage in verdict.damaged] == ["torn"]
    assert (verdict.records, verdict.gaps) == (3, ())


def test_two_full_outages_in_a_row_keep_the_chain(tmp_path: Path) -> None:
    program = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in 3000, 30_000, 9000, 60_000:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    for _ in range(6):
        note(size=100)
        note(other, size=100)
assert (note(), note(other)) == (25, 25)
assert len(said) == 2
journal.close()
other.close()
"""
    run_python(_START + program, tmp_path)

    home = Home(tmp_path)
    verdict = verify(home.log_files())
    assert (verdict.records, verdict.gaps) == (50, ())
    assert {damage.reason for damage in verdict.damaged} <= {"no checksum at the end of the line"}
