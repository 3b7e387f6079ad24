"""What a checkpoint is, as its manifest says it (pure).

Made by `taking`, read by `shelf`.

    {"format":1, "checkpoint_id":…, "name":…, "parent_id":…, …, "variables":{…}, "groups":[…],
     "not_saved":[…], "anchors":[…], "git":{…}, "mac":…}
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from flow_kernel.store.git.rules import FileChanges
from flow_kernel.store.snapshots.manifests import FORMAT

_ID_CHARS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One run of content: the chunks that it consists of.

    Attributes:
        nbytes: Its length.
        chunks: Their digests in hex, in order; empty where there are many.
        chunk_list: The digest in hex of a chunk that lists them; None where `chunks` does.
    """

    nbytes: int
    chunks: tuple[str, ...] = ()
    chunk_list: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGroup:
    """Variables that share something.

    Attributes:
        names: Sorted.
        stream: The pickle of their values.
        buffers: What it refers to.
    """

    names: tuple[str, ...]
    stream: Part
    buffers: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftName:
    """A variable that is not in the checkpoint.

    Attributes:
        name: Its name.
        type: Of its value.
        reason: Why, in words.
        seq: The record of the cell that made it; None where that is not known.
        ident: `id` of the value in the session that took the checkpoint.
    """

    name: str
    type: str
    reason: str
    seq: int | None = None
    ident: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An immutable snapshot: variables, files and the place in the log.

    Attributes:
        checkpoint_id: 12 hex.
        name: As the user gave it, or made of the reason.
        parent_id: The one before it, if any.
        created_at: UTC with milliseconds.
        reason: asked, safety, step, task, approval, interval.
        session: 32 hex.
        seq: The last record of the session before it.
        plan_id: The plan it was taken in.
        task_id: The task it was taken in.
        step: The step it was taken in.
        python: `3.11`: what functions were compiled for.
        libraries: Versions of the packages whose values are in it.
        variables: Type and summary by name.
        groups: The content.
        not_saved: What is not in it.
        anchors: Objects of the session that the content refers to.
        git: Commit, ref, tag and paths left out; None without files.
        files_reason: Why there are no files; empty when there are.
        bytes_new: Written for it.
        is_trusted: True when this user has signed it.
    """

    checkpoint_id: str
    name: str
    parent_id: str | None
    created_at: str
    reason: str
    session: str
    seq: int
    plan_id: str
    task_id: str
    step: str | None
    python: str
    libraries: Mapping[str, str]
    variables: Mapping[str, Mapping[str, Any]]
    groups: tuple[StoredGroup, ...]
    not_saved: tuple[LeftName, ...]
    anchors: tuple[str, ...]
    git: Mapping[str, Any] | None
    files_reason: str
    bytes_new: int
    is_trusted: bool = True

    def item(self) -> dict[str, object]:
        """What lists show."""
        return {
            "checkpoint_id": self.checkpoint_id,
            "name": self.name,
            "parent_id": self.parent_id,
            "created_at": self.created_at,
            "reason": self.reason,
            "seq": self.seq,
            "variables": len(self.variables),
            "bytes_new": self.bytes_new,
            "not_saved": [
                {"name": left.name, "type": left.type, "reason": left.reason, "seq": left.seq}
                for left in self.not_saved
            ],
            "git": None
            if self.git is None
            else {key: self.git.get(key) for key in ("commit", "ref", "tag")},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two checkpoints differ; names sorted."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    files: FileChanges

    def document(self) -> dict[str, object]:
        """As JSON."""
        files = self.files
        return {
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "files": {"added": files.added, "changed": files.changed, "removed": files.removed},
        }


def differing(before: Checkpoint, after: Checkpoint, files: FileChanges) -> Difference:
    """The difference between two checkpoints, by hashes alone.

    A variable that is not saved in one of them counts as changed: nobody can say.
    """
    old, new = _contents(before), _contents(after)
    was, is_now = old.keys() | _left(before), new.keys() | _left(after)
    return Difference(
        added=sorted(is_now - was),
        changed=sorted(
            name
            for name in was & is_now
            if name not in old or name not in new or old[name] != new[name]
        ),
        removed=sorted(was - is_now),
        files=files,
    )


def unchanged(before: Checkpoint, after: Checkpoint) -> frozenset[str]:
    """Names whose group holds the same content in both."""
    old, new = _contents(before), _contents(after)
    return frozenset(name for name in old.keys() & new.keys() if old[name] == new[name])


def _contents(checkpoint: Checkpoint) -> dict[str, StoredGroup]:
    return {name: group for group in checkpoint.groups for name in group.names}


def _left(checkpoint: Checkpoint) -> frozenset[str]:
    return frozenset(left.name for left in checkpoint.not_saved)


def identified(manifest: Mapping[str, object]) -> dict[str, object]:
    """A manifest with its id, which follows from all the rest of it."""
    digest = hashlib.sha256(orjson.dumps(manifest)).hexdigest()
    return {"format": FORMAT, "checkpoint_id": digest[:_ID_CHARS], **manifest}


def parsed(manifest: Mapping[str, Any], *, is_trusted: bool) -> Checkpoint:
    """The checkpoint of a manifest.

    Raises:
        KeyError, TypeError: A field is missing or of another kind.
    """
    return Checkpoint(
        **{
            name: manifest[name]
            for name in (
                "checkpoint_id",
                "name",
                "parent_id",
                "created_at",
                "reason",
                "session",
                "seq",
                "plan_id",
                "task_id",
                "step",
                "python",
                "libraries",
                "variables",
                "git",
                "files_reason",
                "bytes_new",
            )
        },
        groups=tuple(_group(group) for group in manifest["groups"]),
        not_saved=tuple(LeftName(**left) for left in manifest["not_saved"]),
        anchors=tuple(manifest["anchors"]),
        is_trusted=is_trusted,
    )


def _group(group: Mapping[str, Any]) -> StoredGroup:
    return StoredGroup(
        names=tuple(group["names"]),
        stream=_part(group["stream"]),
        buffers=tuple(_part(part) for part in group["buffers"]),
    )


def _part(part: Mapping[str, Any]) -> Part:
    if "list" in part:
        return Part(nbytes=part["nbytes"], chunk_list=str(part["list"]))
    return Part(nbytes=part["nbytes"], chunks=tuple(part["chunks"]))


def parts(checkpoint: Checkpoint) -> Iterator[Part]:
    """All content that it consists of."""
    for group in checkpoint.groups:
        yield group.stream
        yield from group.buffers
