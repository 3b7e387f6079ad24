"""A file that the process has open is read where it is open, and never taken for another one."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flow_kernel.store.files.opened import OpenFiles, read_at


def content(opened: OpenFiles, path: Path, found: os.stat_result) -> bytes:
    with opened.reading(path, found, follows_links=True) as (fd, status):
        assert os.path.samestat(status, found)
        return read_at(fd, 0, 100)


def test_a_look_at_a_file_that_is_open_leaves_its_locks(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="locks of a system without")
    path = tmp_path / "a"
    path.write_bytes(b"a")
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert content(OpenFiles(), path, path.stat()) == b"a"
        other = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), 6)"
        done = subprocess.run(
            [sys.executable, "-c", other, path], capture_output=True, text=True, check=False
        )
    assert "BlockingIOError" in done.stderr


def test_a_file_that_is_open_only_to_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("wb", buffering=0) as file:
        file.write(b"begun")
        assert content(OpenFiles(), path, path.stat()) == b"begun"


def test_a_number_that_was_given_to_another_file_is_not_read_for_the_one_before(
    tmp_path: Path,
) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    opened = OpenFiles()
    a = os.open(tmp_path / "a", os.O_RDONLY)
    found = (tmp_path / "a").stat()
    assert content(opened, tmp_path / "a", found) == b"a"
    os.close(a)
    b = os.open(tmp_path / "b", os.O_RDONLY)
    try:
        assert a == b
        assert content(opened, tmp_path / "a", found) == b"a"
    finally:
        os.close(b)


def test_a_file_that_is_closed_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    a = os.open(tmp_path / "a", os.O_RDONLY)
    other = os.open(tmp_path / "b", os.O_RDONLY)
    try:
        with (
            pytest.raises(OSError, match="closed") as refused,
            OpenFiles().reading(tmp_path / "a", (tmp_path / "a").stat(), follows_links=True),
        ):
            os.dup2(other, a)
    finally:
        os.close(a)
        os.close(other)
    assert refused.value.errno == errno.EBADF
