"""What can happen to the files of a project between two checkpoints, for the tests of both ways.

`SHAPES` holds pairs of functions: one makes the files below a directory, the other changes them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.store.git_shapes import write

Make = Callable[[Path], None]
SHAPES: Final[dict[str, tuple[Make, Make]]] = {}
LARGE: Final = 6 * 1024 * 1024
_SQUARES: Final = bytes(n * n % 251 for n in range(65_537))


def large(seed: int, nbytes: int = LARGE) -> bytes:
    """Content that is no run of equal bytes, and of which each part is another one."""
    block = _SQUARES.translate(bytes((seed + n) % 251 for n in range(256)))
    return (block * (nbytes // len(block) + 1))[:nbytes]


def shape(change: Make) -> Make:
    """Changes that begin with two small files, a large one and some below directories."""
    SHAPES[change.__name__.replace("_", " ")] = (start, change)
    return change


def start(top: Path) -> None:
    write(top / "a.txt", "one\n")
    write(top / "b.txt", "two\n")
    write(top / "data/big.bin", large(1))
    write(top / "d/x", "x\n")
    write(top / "d/deep/y", "y\n")
    (top / "link").symlink_to("a.txt")


@shape
def nothing_happens(top: Path) -> None:
    pass


@shape
def a_small_file_changes(top: Path) -> None:
    write(top / "a.txt", "changed\n")


@shape
def a_large_file_changes(top: Path) -> None:
    write(top / "data/big.bin", large(2))


@shape
def one_byte_of_a_large_file_changes_and_its_time_is_set_back(top: Path) -> None:
    path = top / "data/big.bin"
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(3_000_000)
        file.write(b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@shape
def a_large_file_shrinks(top: Path) -> None:
    write(top / "data/big.bin", "small now\n")


@shape
def a_small_file_grows(top: Path) -> None:
    write(top / "a.txt", large(3))


@shape
def a_large_file_is_born(top: Path) -> None:
    write(top / "more/bigger.bin", large(4, 7_000_001))


@shape
def a_large_file_goes_with_its_directory(top: Path) -> None:
    (top / "data/big.bin").unlink()
    (top / "data").rmdir()


@shape
def files_are_born_and_others_go(top: Path) -> None:
    write(top / "new/deep/er.txt", "new\n")
    write(top / "empty", b"")
    for path in ("a.txt", "d/deep/y"):
        (top / path).unlink()
    (top / "d/deep").rmdir()


@shape
def all_files_go(top: Path) -> None:
    for path in ("a.txt", "b.txt", "data/big.bin", "d/x", "d/deep/y", "link"):
        (top / path).unlink()
    for path in ("data", "d/deep", "d"):
        (top / path).rmdir()


@shape
def a_large_file_is_renamed(top: Path) -> None:
    (top / "data/big.bin").rename(top / "moved.bin")


@shape
def a_file_becomes_a_directory(top: Path) -> None:
    (top / "a.txt").unlink()
    write(top / "a.txt/inside", "in\n")
    (top / "data/big.bin").unlink()
    write(top / "data/big.bin/deep/inside", large(5))


@shape
def a_directory_becomes_a_file(top: Path) -> None:
    (top / "d/x").unlink()
    (top / "d/deep/y").unlink()
    (top / "d/deep").rmdir()
    (top / "d").rmdir()
    write(top / "d", "a file now\n")
    (top / "data/big.bin").unlink()
    (top / "data").rmdir()
    write(top / "data", large(6))


@shape
def a_directory_becomes_a_link(top: Path) -> None:
    (top / "data/big.bin").rename(top / "big.bin")
    (top / "data").rmdir()
    (top / "data").symlink_to("d")


@shape
def files_become_links(top: Path) -> None:
    for path in ("a.txt", "data/big.bin"):
        (top / path).unlink()
        (top / path).symlink_to("./../nowhere//at all")


@shape
def a_link_becomes_a_large_file(top: Path) -> None:
    (top / "link").unlink()
    write(top / "link", large(7))


@shape
def a_link_points_elsewhere(top: Path) -> None:
    (top / "link").unlink()
    (top / "link").symlink_to("/etc")


@shape
def files_may_be_run(top: Path) -> None:
    (top / "a.txt").chmod(0o755)
    (top / "data/big.bin").chmod(0o755)


@shape
def names_are_odd(top: Path) -> None:
    for name in ("-dash", "with space", "new\nline", 'quo"te', '"quoted"', "tab\there", "ünïcode",
                 "*star", "back\\slash", "\\xe9", ":(top)magic", "~home", "a" * 250):  # fmt: skip
        write(top / name, "odd\n")
        write(top / f"big{name[:240]}", large(len(name)))


@shape
def names_are_no_utf8(top: Path) -> None:
    for name in (b"latin-\xe9.txt", b"\xff\xfe", b'"\xe9'):
        path = Path(os.fsdecode(os.path.join(os.fsencode(top), name)))
        write(path, "bytes\n")
        write(Path(f"{path}.bin"), large(8))


@shape
def names_differ_in_case(top: Path) -> None:
    write(top / "DATA/big.bin", large(9))
    write(top / "A.txt", "big\n")


@shape
def a_sparse_file_is_born(top: Path) -> None:
    with (top / "sparse").open("wb") as file:
        file.truncate(20_000_000)


@shape
def two_names_of_one_large_file(top: Path) -> None:
    (top / "second").hardlink_to(top / "data/big.bin")
