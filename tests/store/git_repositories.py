"""Repositories of all kinds, for the tests of the snapshots of files; see `git_shapes`."""

import os
from pathlib import Path

from tests.store.git_shapes import git, new, shape, write


@shape
def linked_worktree(where: Path) -> Path:
    main = new(where)
    top = where / "linked"
    git(main, "worktree", "add", "-q", str(top))
    write(top / "a.txt", "changed in the linked one\n")
    return top


@shape
def git_file_elsewhere(where: Path) -> Path:
    top = where / "project"
    top.mkdir()
    git(top, "init", "-q", "--separate-git-dir", str(where / "elsewhere.git"))
    write(top / "a.txt", "one\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "first")
    return top


@shape
def submodule(where: Path) -> Path:
    (where / "inner").mkdir()
    inner = new(where / "inner")
    top = new(where)
    git(top, "submodule", "add", "-q", str(inner), "sub")
    git(top, "commit", "-qm", "submodule")
    write(top / "sub/a.txt", "changed inside\n")
    return top


@shape
def submodule_with_another_commit(where: Path) -> Path:
    top = submodule(where)
    git(top / "sub", "commit", "-qam", "inside")
    return top


@shape
def nested_repository(where: Path) -> Path:
    top = new(where)
    (top / "vendor").mkdir()
    new(top / "vendor")
    return top


@shape
def sparse_checkout(where: Path) -> Path:
    top = new(where, **{"in/x": "x\n", "out/y": "y\n"})
    git(top, "sparse-checkout", "set", "in")
    assert not (top / "out").exists()
    return top


@shape
def sparse_index(where: Path) -> Path:
    top = new(where, **{"in/x": "x\n", "out/y": "y\n", "out/deep/z": "z\n"})
    git(top, "sparse-checkout", "set", "--sparse-index", "in")
    return top


@shape
def split_index(where: Path) -> Path:
    top = new(where)
    git(top, "update-index", "--split-index")
    write(top / "a.txt", "changed\n")
    git(top, "add", "a.txt")
    return top


@shape
def index_version_4(where: Path) -> Path:
    top = new(where)
    git(top, "update-index", "--index-version", "4")
    return top


@shape
def line_ends_crlf(where: Path) -> Path:
    top = new(where, **{".gitattributes": "*.txt text eol=crlf\n"})
    git(top, "checkout-index", "-f", "-a")
    write(top / "a.txt", b"dos\r\nlines\r\n")
    return top


@shape
def line_ends_autocrlf(where: Path) -> Path:
    top = new(where)
    git(top, "config", "core.autocrlf", "true")
    git(top, "config", "core.safecrlf", "true")
    write(top / "a.txt", b"dos\r\nlines\r\n")
    return top


@shape
def clean_and_smudge_filters(where: Path) -> Path:
    top = new(where, **{".gitattributes": "*.enc filter=rot\n"})
    git(top, "config", "filter.rot.clean", "tr a-z n-za-m")
    git(top, "config", "filter.rot.smudge", "tr a-z n-za-m")
    git(top, "config", "filter.rot.required", "true")
    write(top / "secret.enc", "hello\n")
    return top


@shape
def hostile_hooks(where: Path) -> Path:
    top = new(where)
    for hook in ("post-index-change", "reference-transaction", "post-checkout", "pre-commit",
                 "post-commit", "fsmonitor-watchman", "prepare-commit-msg", "commit-msg",
                 "pre-auto-gc"):  # fmt: skip
        path = top / ".git/hooks" / hook
        write(path, f"#!/bin/sh\ntouch '{where}/hook-ran'\nexit 1\n")
        path.chmod(0o755)
    git(top, "config", "core.fsmonitor", str(top / ".git/hooks/fsmonitor-watchman"))
    return top


@shape
def signing_wanted(where: Path) -> Path:
    top = new(where)
    git(top, "config", "commit.gpgSign", "true")
    git(top, "config", "gpg.program", "/bin/false")
    return top


@shape
def symbolic_links(where: Path) -> Path:
    top = new(where)
    (top / "link").symlink_to("a.txt")
    (top / "broken").symlink_to("nowhere")
    (top / "outside").symlink_to(where)
    return top


@shape
def file_became_directory(where: Path) -> Path:
    top = new(where)
    (top / "a.txt").unlink()
    write(top / "a.txt/inside", "in\n")
    return top


@shape
def directory_became_file(where: Path) -> Path:
    top = new(where, **{"d/x": "x\n", "d/y": "y\n"})
    for name in "xy":
        (top / "d" / name).unlink()
    (top / "d").rmdir()
    write(top / "d", "a file now\n")
    return top


@shape
def directory_became_link(where: Path) -> Path:
    top = new(where, **{"d/x": "x\n", "real/x": "x\n"})
    (top / "d/x").unlink()
    (top / "d").rmdir()
    (top / "d").symlink_to("real")
    return top


@shape
def directory_became_a_link_to_itself(where: Path) -> Path:
    top = new(where, **{"d/x": "x\n"})
    (top / "d/x").unlink()
    (top / "d").rmdir()
    (top / "d").symlink_to("d")
    return top


@shape
def executable_bit(where: Path) -> Path:
    top = new(where)
    (top / "a.txt").chmod(0o755)
    return top


@shape
def odd_names(where: Path) -> Path:
    top = new(where)
    for name in ("-dash", "with space", "new\nline", 'quo"te', "tab\there", "ünïcode", "*star",
                 ":(top)magic", "back\\slash", "~home", "#hash", "a" * 200):  # fmt: skip
        write(top / name, "odd\n")
    return top


@shape
def names_that_are_no_utf8(where: Path) -> Path:
    top = new(where)
    path = os.path.join(os.fsencode(top), b"latin-\xe9.txt")
    with open(path, "wb") as file:
        file.write(b"bytes\n")
    return top


@shape
def names_that_differ_in_case(where: Path) -> Path:
    top = new(where)
    write(top / "README", "big\n")
    write(top / "readme", "small\n")
    return top


@shape
def binary_and_empty_files(where: Path) -> Path:
    top = new(where)
    write(top / "zeros", bytes(4096))
    write(top / "all", bytes(range(256)) * 4)
    write(top / "empty", b"")
    return top


@shape
def a_user_index_lock(where: Path) -> Path:
    top = new(where)
    write(top / ".git/index.lock", b"")
    write(top / "a.txt", "changed\n")
    return top


@shape
def shallow_clone(where: Path) -> Path:
    (where / "far").mkdir()
    far = new(where / "far")
    write(far / "a.txt", "second\n")
    git(far, "commit", "-qam", "second")
    git(where, "clone", "-q", "--depth", "1", f"file://{far}", "project")
    return where / "project"


@shape
def many_submodule_options(where: Path) -> Path:
    top = submodule(where)
    git(top, "config", "submodule.recurse", "true")
    git(top, "config", "diff.ignoreSubmodules", "all")
    return top


@shape
def sha256_objects(where: Path) -> Path:
    top = where / "project"
    top.mkdir()
    git(top, "init", "-q", "--object-format=sha256")
    write(top / "a.txt", "one\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "first")
    return top
