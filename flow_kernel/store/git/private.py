"""A repository of our own beside the user's, which shares nothing with it but its objects.

Made by `store.git.snapshots`.

It has its own index, configuration and attributes, so that no setting, hook or filter of the user's
has a say: files come back byte by byte, whatever line ends or filters the user's repository asks
for, and sparse checkouts, conflicts and submodules are just files that are there or not. Commits go
to the user's object database, where a ref keeps them.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError
from flow_kernel.store.git.command import Git
from flow_kernel.store.git.rules import is_plain

_EXACT: Final = "* -text -eol -crlf -ident -filter -working-tree-encoding -diff\n"
_CONFIG: Final = """[core]
    repositoryformatversion = {version}
    bare = false
    fileMode = {filemode}
    autocrlf = false
    safecrlf = false
    sparseCheckout = false
    logAllRefUpdates = false
{extensions}"""


def private_git(users: Git, where: Path, *, owner: str) -> Git:
    """Git on a repository of our own, made when it is not there.

    Args:
        users: The user's repository.
        where: A directory of the home; used by all sessions of it.
        owner: Whose index: no two sessions work on one.

    Raises:
        StoreError: git refuses, or the directory cannot be written.
    """
    objects, kind, filemode = _facts(users)
    try:
        if not (where / "HEAD").exists():
            _make(where, kind=kind, filemode=filemode)
    except OSError as error:
        raise StoreError(f"{where} cannot be written: {error.strerror or error}") from None
    own = {
        "GIT_DIR": str(where),
        "GIT_WORK_TREE": str(users.top),
        "GIT_OBJECT_DIRECTORY": objects,
        "GIT_INDEX_FILE": str(where / f"index.{owner}"),
    }
    return replace(users, own=own)


def first_index(private: Git, users: Git) -> None:
    """An index to begin with: of the session before, else the user's, else none.

    The user's saves reading all files again; it is taken only where it says what the files are,
    byte by byte.
    """
    index = Path(private.own["GIT_INDEX_FILE"])
    shared = index.with_name("index")
    source = shared if shared.exists() else _users_index(users)
    if source is not None:
        with suppress(OSError):
            seen = source.stat()
            shutil.copyfile(source, index)
            index.chmod(0o600)
            # Git compares seconds, and looks into what is no older than its index: a copy that was
            # younger than what it says would hide what was changed in the second of the original.
            os.utime(index, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def leave_index(private: Git) -> None:
    """Hand our index on to the next session; the work with this repository is over."""
    index = Path(private.own["GIT_INDEX_FILE"])
    with suppress(OSError):
        index.replace(index.with_name("index"))


def forget_index(private: Git) -> None:
    """Throw our index away: something went wrong with it, and it can be made anew."""
    index = Path(private.own["GIT_INDEX_FILE"])
    for path in (index, index.with_name(f"{index.name}.lock"), index.with_name("index")):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _facts(users: Git) -> tuple[str, str, str]:
    """Directory of the objects, kind of the hashes, and whether modes of files mean something."""
    said = users.run(
        "rev-parse", "--show-object-format", "--path-format=absolute", "--git-path", "objects"
    )
    kind, objects = os.fsdecode(said.stdout).removesuffix("\n").split("\n", 1)
    filemode = users.run("config", "--type=bool", "core.fileMode", ok=(0, 1)).stdout
    return objects, kind, filemode.decode().strip() or "true"


def _make(where: Path, *, kind: str, filemode: str) -> None:
    for folder in ("refs", "objects", "info"):
        (where / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    is_plain_kind = kind == "sha1"
    config = _CONFIG.format(
        version=0 if is_plain_kind else 1,
        filemode=filemode,
        extensions="" if is_plain_kind else f"[extensions]\n    objectFormat = {kind}\n",
    )
    (where / "config").write_text(config)
    (where / "info/attributes").write_text(_EXACT)
    # Last: what is half made has no HEAD, and is made again.
    (where / "HEAD").write_text("ref: refs/heads/none\n")


def _users_index(users: Git) -> Path | None:
    """The user's index when each of its entries holds the bytes of its file."""
    if _converts(users) or not is_plain(users.run("ls-files", "-z", "-v", "-s").stdout):
        return None
    path = Path(users.top, users.line("rev-parse", "--git-path", "index"))
    is_split = any(path.parent.glob("sharedindex.*"))
    return path if path.exists() and not is_split else None


def _converts(users: Git) -> bool:
    """True when files may differ from what git keeps of them: line ends, filters, encodings."""
    asked = users.run("config", "--get-regexp", r"^core\.(autocrlf|eol|attributesfile)$", ok=(0, 1))
    attributes = Path(users.top, users.line("rev-parse", "--git-path", "info/attributes"))
    known = users.run(
        "ls-files", "-z", "-c", "-o", "--", ".gitattributes", ":(glob)**/.gitattributes"
    )
    return bool(asked.stdout) or attributes.exists() or bool(known.stdout)
