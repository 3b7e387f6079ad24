"""`jupyter flow key`: the key is taken elsewhere, and never lost."""

import stat
from pathlib import Path

import pytest

from tests.apps.running import Cli


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Where the user's key lies."""
    return tmp_path / "jupyter-data" / "flow" / "key"


def test_a_fingerprint_is_shown_and_the_key_is_not(cli: Cli, key: Path) -> None:
    done = cli("key")

    assert done.code == 0
    assert str(key) in done.out
    assert key.read_text("utf-8").strip() not in done.out
    assert cli("key", "show", "--json").document["fingerprint"] in done.out


def test_a_key_goes_to_another_machine_and_says_what_that_means(
    cli: Cli, key: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = cli("key", "export", "flow.key")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "other"))
    done = cli("key", "import", "flow.key")

    for text in (told.out, done.out):
        assert "restoring one runs the code that is in it" in text
    assert stat.S_IMODE(Path("flow.key").stat().st_mode) == 0o600
    there = tmp_path / "other/flow/key"
    assert there.read_bytes() == key.read_bytes()
    assert stat.S_IMODE(there.stat().st_mode) == 0o600


def test_no_file_and_no_key_is_replaced_unless_that_is_asked_for(cli: Cli, key: Path) -> None:
    cli("key", "export", "flow.key")
    Path("other.key").write_text("ab" * 32 + "\n", "utf-8")
    own = key.read_text("utf-8")

    for words in (("export", "other.key"), ("import", "other.key")):
        done = cli("key", *words)
        assert (done.code, done.out) == (2, "")
        assert "--force" in done.err
    assert (key.read_text("utf-8"), Path("other.key").read_text("utf-8")) == (own, "ab" * 32 + "\n")
    assert cli("key", "import", "flow.key").code == 0  # the same one

    done = cli("key", "import", "other.key", "--force", "--json")
    kept = Path(done.document["kept"])
    assert (key.read_text("utf-8"), kept.read_text("utf-8")) == ("ab" * 32 + "\n", own)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert cli("key", "export", "other.key", "--force").code == 0


@pytest.mark.parametrize("content", [b"", b"no key", b"ab" * 31, b"\xff" * 64, b"zz" * 32])
def test_a_file_that_holds_no_key_is_refused_and_the_key_stays(
    cli: Cli, key: Path, content: bytes
) -> None:
    cli("key")
    before = key.read_bytes()
    Path("bad.key").write_bytes(content)

    done = cli("key", "import", "bad.key", "--force")

    assert (done.code, done.out, key.read_bytes()) == (2, "", before)
    assert "holds no key" in done.err


@pytest.mark.parametrize("words", [["export"], ["import"], ["import", "missing"], ["show", "x"]])
def test_a_wrong_line_is_one_sentence(cli: Cli, words: list[str]) -> None:
    done = cli("key", *words)

    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
