"""What a checkpoint is, as its manifest says it (pure).

Made by `service`, read by `shelf`.

    head  {"format":2, "checkpoint_id":…, "name":…, "parent_id":…, …, "not_saved":[…], "git":{…},
           "counts":{"variables":…}}
    body  {"variables":{…}, "groups":[…], "anchors":[…]}
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from flow_kernel.errors import CheckpointDamaged
from flow_kernel.session.checkpoints.hidden_state import is_hidden
from flow_kernel.session.checkpoints.manifest_shape import check_body
from flow_kernel.store.files.entries import spelled
from flow_kernel.store.git.rules import FileChanges
from flow_kernel.store.snapshots.manifests import BODY, FORMAT, ManifestDamaged, read_body

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
        filled_in: Which of these a load may leave to what takes them; by number.
    """

    names: tuple[str, ...]
    stream: Part
    buffers: tuple[Part, ...]
    filled_in: tuple[int, ...] = ()


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


class Body:
    """The long part of a manifest, parsed at the first touch: lists of checkpoints need it not.

    Args:
        head: Of the same manifest.
        source: JSON, or what it says.

    Raises:
        CheckpointDamaged: At the first touch: it is not the one that the head names.
    """

    __slots__ = ("_head", "_source", "anchors", "groups", "loose", "statuses", "variables")

    variables: Mapping[str, Mapping[str, Any]]
    groups: tuple[StoredGroup, ...]
    anchors: tuple[str, ...]
    statuses: Mapping[str, str]
    loose: frozenset[str]

    def __init__(self, head: Mapping[str, Any], source: bytes | dict[str, Any]) -> None:
        self._head = head
        self._source = source

    def __getattr__(self, name: str) -> Any:
        if name not in Body.__slots__ or name.startswith("_"):
            raise AttributeError(name)
        found = self._found(is_checked=True)
        self.groups = tuple(_group(group) for group in found["groups"])
        self.anchors = tuple(found["anchors"])
        self.variables = found["variables"]
        self.statuses = found.get("statuses", {})
        self.loose = frozenset(found.get("loose", self.variables))  # an old one does not say
        return object.__getattribute__(self, name)

    def parts(self) -> Iterator[Part]:
        """All content; nothing of it is kept, for whoever looks at many checkpoints."""
        try:
            # Checked in passing: in full that would take as long again as all the rest.
            for group in self._found(is_checked=False)["groups"]:
                yield part_of(group["stream"])
                yield from map(part_of, group["buffers"])
        except (KeyError, TypeError, AttributeError):
            self._found(is_checked=True)  # says what is wrong
            raise

    def _found(self, *, is_checked: bool) -> dict[str, Any]:
        try:
            found = read_body(self._head, self._source)
            if is_checked and found is not self._source:  # what was not read is our own
                check_body(found)
            return found
        except ManifestDamaged as error:
            one = self._head["checkpoint_id"]
            raise CheckpointDamaged(
                f"checkpoint {one}: its manifest {error}", variables=()
            ) from None


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
        not_saved: What is not in it.
        variable_count: How many variables are in it.
        body: What each of them is; see `variables`, `groups` and `anchors`.
        git: Commit, ref, tag and paths left out; None without git.
        files_reason: Why there are no files; empty when there are.
        bytes_new: Written for it.
        is_trusted: True when this user has signed it.
        files: What lies in chunks of ours: large files, or all without git; None for nothing.
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
    not_saved: tuple[LeftName, ...]
    git: Mapping[str, Any] | None
    files_reason: str
    bytes_new: int
    variable_count: int
    body: Body = field(repr=False, compare=False)
    is_trusted: bool = True
    files: Mapping[str, Any] | None = None

    @property
    def variables(self) -> Mapping[str, Mapping[str, Any]]:
        """Type and summary by name."""
        return self.body.variables

    @property
    def groups(self) -> tuple[StoredGroup, ...]:
        """The content."""
        return self.body.groups

    @property
    def anchors(self) -> tuple[str, ...]:
        """Objects of the session that the content refers to."""
        return self.body.anchors

    @property
    def statuses(self) -> Mapping[str, str]:
        """What is known of the values; see `reach_walk.Status`."""
        return self.body.statuses

    @property
    def loose(self) -> frozenset[str]:
        """Names of values that change when something is looked at; see `reach_facts`."""
        return self.body.loose

    def item(self) -> dict[str, object]:
        """What lists show."""
        return {
            "checkpoint_id": self.checkpoint_id,
            "name": self.name,
            "parent_id": self.parent_id,
            "created_at": self.created_at,
            "reason": self.reason,
            "seq": self.seq,
            "variables": self.variable_count,
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
            "files": {
                "added": [*map(spelled, files.added)],
                "changed": [*map(spelled, files.changed)],
                "removed": [*map(spelled, files.removed)],
            },
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


def _contents(checkpoint: Checkpoint) -> dict[str, StoredGroup]:
    return {
        name: group for group in checkpoint.groups for name in group.names if not is_hidden(name)
    }


def _left(checkpoint: Checkpoint) -> frozenset[str]:
    return frozenset(left.name for left in checkpoint.not_saved)


def identified(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with its id: its own, or one that follows from all the rest of it."""
    given = manifest.get("checkpoint_id")
    chosen = given or hashlib.sha256(orjson.dumps(manifest)).hexdigest()[:_ID_CHARS]
    return {"format": FORMAT, **manifest, "checkpoint_id": chosen}


def parsed(manifest: Mapping[str, Any], *, is_trusted: bool) -> Checkpoint:
    """The checkpoint of a whole manifest.

    Raises:
        KeyError, TypeError: A field is missing or of another kind.
    """
    body = Body(manifest, {key: manifest.get(key, {}) for key in BODY})
    count = len(body.variables)
    return summed_up(manifest, body, variable_count=count, is_trusted=is_trusted)


def summed_up(
    head: Mapping[str, Any], body: Body, *, variable_count: int, is_trusted: bool
) -> Checkpoint:
    """The checkpoint of the head of a manifest.

    Args:
        head: The first line, or all of it.
        body: The second line; not looked at.
        variable_count: How many it says to hold.
        is_trusted: True when this user has signed it.

    Raises:
        KeyError, TypeError: A field is missing or of another kind.
    """
    return Checkpoint(
        checkpoint_id=head["checkpoint_id"],
        name=head["name"],
        parent_id=head["parent_id"],
        created_at=head["created_at"],
        reason=head["reason"],
        session=head["session"],
        seq=head["seq"],
        plan_id=head["plan_id"],
        task_id=head["task_id"],
        step=head["step"],
        python=head["python"],
        libraries=head["libraries"],
        git=head["git"],
        files_reason=head["files_reason"],
        bytes_new=head["bytes_new"],
        not_saved=tuple(LeftName(**left) for left in head["not_saved"]),
        variable_count=variable_count,
        body=body,
        is_trusted=is_trusted,
        files=head.get("files"),
    )


def _group(group: Mapping[str, Any]) -> StoredGroup:
    return StoredGroup(
        names=tuple(group["names"]),
        stream=part_of(group["stream"]),
        buffers=tuple(part_of(part) for part in group["buffers"]),
        filled_in=tuple(group.get("filled_in", ())),
    )


def part_of(part: Mapping[str, Any]) -> Part:
    """A part from what a manifest says of it."""
    if "list" in part:
        return Part(nbytes=part["nbytes"], chunk_list=str(part["list"]))
    return Part(nbytes=part["nbytes"], chunks=tuple(part["chunks"]))
