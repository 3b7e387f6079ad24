"""Repositories with settings and filters that change what git does; see `git_shapes`."""

from pathlib import Path

from tests.store.git_shapes import git, new, shape, two_branches, write

_POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n"
)
_LFS = "*.bin filter=lfs diff=lfs merge=lfs -text\n"


def _with_lfs(top: Path) -> None:
    """The program of the filters is not there, as on a machine without git-lfs."""
    for key in ("clean", "smudge", "process"):
        git(top, "config", f"filter.lfs.{key}", f"no-such-lfs {key}")
    git(top, "config", "filter.lfs.required", "true")


@shape
def lfs_pointers_whose_content_was_not_fetched(where: Path) -> Path:
    top = new(where, **{".gitattributes": _LFS, "model.bin": _POINTER})
    _with_lfs(top)
    return top


@shape
def lfs_content_whose_pointer_is_tracked(where: Path) -> Path:
    top = new(where, **{".gitattributes": _LFS, "model.bin": _POINTER})
    _with_lfs(top)
    write(top / "model.bin", b"the content itself" * 700)
    return top


@shape
def keywords_that_git_expands(where: Path) -> Path:
    top = new(where, **{".gitattributes": "*.txt ident\n", "id.txt": "$Id$\n"})
    write(top / "id.txt", "$Id: 0123 $ mine\n")
    return top


@shape
def another_encoding_in_the_working_tree(where: Path) -> Path:
    top = new(where, **{".gitattributes": "*.u16 working-tree-encoding=UTF-16\n"})
    write(top / "text.u16", "ünï\n".encode("utf-16"))
    write(top / "broken.u16", b"\xff")
    return top


@shape
def modes_that_git_does_not_trust(where: Path) -> Path:
    top = new(where)
    git(top, "config", "core.fileMode", "false")
    return top


@shape
def links_that_git_does_not_trust(where: Path) -> Path:
    top = new(where)
    git(top, "config", "core.ignoreCase", "true")
    git(top, "config", "core.precomposeUnicode", "true")
    (top / "link").symlink_to("b.txt")
    return top


@shape
def caches_of_untracked_files(where: Path) -> Path:
    top = new(where)
    git(top, "update-index", "--untracked-cache")
    git(top, "status")
    write(top / "x/new.txt", "new\n")
    return top


@shape
def objects_of_another_repository(where: Path) -> Path:
    (where / "far").mkdir()
    far = new(where / "far")
    git(where, "clone", "-q", "--shared", str(far), "project")
    write(where / "project/a.txt", "changed\n")
    return where / "project"


@shape
def a_partial_clone(where: Path) -> Path:
    (where / "far").mkdir()
    far = new(where / "far")
    git(far, "config", "uploadpack.allowFilter", "true")
    write(far / "a.txt", "second\n")
    git(far, "commit", "-qam", "second")
    git(where, "clone", "-q", "--filter=blob:none", f"file://{far}", "project")
    return where / "project"


@shape
def cherry_pick_in_progress(where: Path) -> Path:
    top = two_branches(where)
    git(top, "cherry-pick", "other", ok=False)
    assert (top / ".git/CHERRY_PICK_HEAD").exists()
    return top


@shape
def bisect_in_progress(where: Path) -> Path:
    top = new(where)
    for n in range(4):
        write(top / "a.txt", f"{n}\n")
        git(top, "commit", "-qam", str(n))
    git(top, "bisect", "start", "HEAD", "HEAD~4")
    return top


@shape
def objects_replaced(where: Path) -> Path:
    top = new(where)
    write(top / "a.txt", "second\n")
    git(top, "commit", "-qam", "second")
    git(top, "replace", "HEAD:a.txt", "HEAD~1:a.txt")
    return top


@shape
def a_reflog_for_every_ref(where: Path) -> Path:
    top = new(where)
    git(top, "config", "core.logAllRefUpdates", "always")
    return top
