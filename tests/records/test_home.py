"""Where a home is found, what is made in it, and which files are its logs."""

import os
import stat
from pathlib import Path

import pytest

from flow_kernel.records.home import Home, log_name, network_file_system, resolve
from tests.records.journals import PATCH, run_python


@pytest.fixture
def user(tmp_path: Path) -> Path:
    home = tmp_path / "user"
    home.mkdir()
    return home


def _resolve(cwd: Path, user: Path, **env: str) -> Path:
    return resolve(cwd, env, user_home=user, data_dir=user / "data").root


def test_the_nearest_ancestor_with_a_home_wins_over_git(user: Path) -> None:
    deep = user / "project" / "a" / "b"
    deep.mkdir(parents=True)
    (user / "project" / ".flow").mkdir()
    (user / "project" / "a" / ".git").mkdir()

    assert _resolve(deep, user) == user / "project" / ".flow"


def test_without_a_home_the_git_top_level_is_the_place(user: Path) -> None:
    deep = user / "project" / "a"
    deep.mkdir(parents=True)
    (user / "project" / ".git").write_text("gitdir: elsewhere")

    assert _resolve(deep, user) == user / "project" / ".flow"


def test_without_git_the_working_directory_is_the_place(user: Path) -> None:
    (user / "scratch").mkdir()

    assert _resolve(user / "scratch", user) == user / "scratch" / ".flow"


def test_a_file_named_like_a_home_is_none(user: Path) -> None:
    (user / "project" / "a").mkdir(parents=True)
    (user / "project" / ".flow").write_text("")

    assert _resolve(user / "project" / "a", user) == user / "project" / "a" / ".flow"


@pytest.mark.parametrize("marker", [".flow", ".git", None])
def test_the_home_of_the_user_is_never_a_home_of_records(user: Path, marker: str | None) -> None:
    if marker:
        (user / marker).mkdir()
    (user / "scratch").mkdir()

    assert _resolve(user, user).parent == user / "data" / "flow" / "homes"
    assert _resolve(user / "scratch", user) == user / "scratch" / ".flow"


def test_a_home_of_the_user_behind_a_link_is_recognised(user: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(user)

    found = resolve(user, {}, user_home=tmp_path / "link", data_dir=tmp_path / "data")

    assert found.root.parent == tmp_path / "data" / "flow" / "homes"


def test_the_root_directory_is_never_a_home(user: Path) -> None:
    assert _resolve(Path("/"), user).parent == user / "data" / "flow" / "homes"


def test_the_environment_wins_over_everything(user: Path) -> None:
    (user / "project" / ".flow").mkdir(parents=True)

    assert _resolve(user / "project", user, FLOW_HOME="x/y") == user / "project" / "x" / "y"
    assert _resolve(user / "project", user, FLOW_HOME=str(user / "z")) == user / "z"
    assert _resolve(user / "project", user, FLOW_HOME="") == user / "project" / ".flow"


def test_a_home_is_private_and_keeps_itself_out_of_commits(tmp_path: Path) -> None:
    home = Home(tmp_path / "not" / "yet" / ".flow")

    home.ensure()
    home.ensure()

    assert {_mode(path) for path in (home.root, home.log_dir, home.run_dir)} == {0o700}
    assert (home.root / ".gitignore").read_text() == "*\n"
    assert _mode(home.root / ".gitignore") == 0o600


def test_what_is_in_a_home_is_left_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / ".gitignore").write_text("mine\n")

    home.ensure()

    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    home.root.mkdir()
    (home.root / ".gitignore").symlink_to(tmp_path / "victim")

    home.ensure()

    assert not (tmp_path / "victim").exists()


def test_a_home_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / ".flow").write_text("in the way")

    with pytest.raises(OSError, match="Not a directory"):
        Home(tmp_path / ".flow").ensure()


def test_a_home_is_made_even_where_the_cell_has_patched_everything(tmp_path: Path) -> None:
    program = """
from flow_kernel.records.home import make_home, log_name
root, ended = sys.argv[1], os._exit
ruin(os, pathlib, re, hashlib, builtins)
make_home(root)
log_name("a b", "T-0001")
ended(0)
"""
    run_python(PATCH + program, tmp_path / "a" / ".flow")

    made = sorted(path.name for path in (tmp_path / "a" / ".flow").iterdir())
    assert made == [".gitignore", "log", "run"]


def test_logs_are_listed_with_the_oldest_part_of_a_task_first(tmp_path: Path) -> None:
    names = [
        "T-0000.1.jsonl",
        "T-0000.2.jsonl",
        "T-0000.10.jsonl",
        "T-0000.jsonl",
        "T-0001.12345678.1.jsonl",
        "T-0001.12345678.2.jsonl",
        "T-0001.12345678.jsonl",
        "T-0001.abcdef01.jsonl",
    ]
    plan = Home(tmp_path).log_dir / "local"
    plan.mkdir(parents=True)
    for name in [*reversed(names), "T-0000.jsonl.torn", ".T-0000.jsonl.repair"]:
        (plan / name).touch()

    assert [path.name for path in Home(tmp_path).log_files()] == names


def test_the_log_of_a_task_is_found_by_its_ids(tmp_path: Path) -> None:
    home = Home(tmp_path)

    assert home.log_path("local", "T-0001") == tmp_path / "log" / "local" / "T-0001.jsonl"
    assert log_name("local", "T-0001", "5e" * 16) == "local/T-0001.5e5e5e5e.jsonl"


@pytest.mark.parametrize(
    ("mount", "path", "expected"),
    [
        ("server:/x /mnt/nfs nfs4 rw 0 0", "/mnt/nfs/project", "nfs4"),
        ("server:/x /mnt/nfs nfs4 rw 0 0", "/mnt/nfs2/project", None),
        ("server:/x /mnt/my\\040share\\011a cifs rw 0 0", "/mnt/my share\ta/project", "cifs"),
        ("me@host: /mnt/far fuse.sshfs rw 0 0", "/mnt/far", "fuse.sshfs"),
        ("/dev/sda1 /mnt/usb ext4 rw 0 0", "/mnt/usb/project", None),
        ("nonsense", "/mnt/usb/project", None),
    ],
)
def test_a_network_file_system_is_known_by_its_mount(
    tmp_path: Path, mount: str, path: str, expected: str | None
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\n{mount}\n")

    assert network_file_system(Path(path), mounts) == expected
    assert network_file_system(Path(path), tmp_path / "missing") is None


def _mode(path: Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)
