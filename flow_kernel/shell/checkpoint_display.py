"""Checkpoints as answers of the magics: text in a terminal, HTML in a notebook, a value in code.

Called by `shell.checkpoint_magics`. Everything a user named is escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final, overload

from flow_kernel.records.plain import human_bytes, one_line
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, Difference
from flow_kernel.session.checkpoints.pruning import Pruned
from flow_kernel.session.checkpoints.rollback import Rollback
from flow_kernel.session.checkpoints.shelf import Trouble
from flow_kernel.shell.display import Table

_MOST: Final = 12
_STYLE: Final = (
    "<style>.flow-cp{font-size:13px;line-height:1.5;max-width:60em}.flow-cp b{font-weight:600}"
    ".flow-cp span{opacity:.7}.flow-cp .left{color:#b7791f}.flow-cp ul{margin:.1em 0 0 1.2em;"
    "padding:0}</style>"
)


class _Lines:
    """A title and lines below it; text and HTML say the same."""

    def __init__(self, title: str, lines: list[str], warnings: list[str] | None = None) -> None:
        self._title = title
        self._lines = lines
        self._warnings = warnings or []

    def __repr__(self) -> str:
        return "\n".join([self._title, *(f"  {line}" for line in [*self._lines, *self._warnings])])

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{escape(line)}</li>" for line in self._lines)
        warnings = "".join(f'<li class="left">{escape(line)}</li>' for line in self._warnings)
        body = f"<ul>{lines}{warnings}</ul>" if lines or warnings else ""
        return f'{_STYLE}<div class="flow-cp"><b>{escape(self._title)}</b>{body}</div>'


class CheckpointCard(_Lines):
    """One checkpoint; `checkpoint` holds the values."""

    def __init__(self, checkpoint: Checkpoint, *, is_long: bool = False) -> None:
        self.checkpoint = checkpoint
        count = len(checkpoint.variables)
        title = (
            f"checkpoint {one_line(checkpoint.name, 60)}  [{checkpoint.checkpoint_id}]  "
            f"{count} variable{'' if count == 1 else 's'}, {human_bytes(checkpoint.bytes_new)} new"
        )
        git = checkpoint.git
        lines = []
        if git is not None:
            tag = f", tag {git['tag']}" if git.get("tag") else ""
            lines.append(f"files: commit {str(git['commit'])[:12]}{tag}")
        else:
            lines.append(f"files are not kept: {one_line(checkpoint.files_reason, 160)}")
        if is_long:
            why = f"{checkpoint.reason}, after record {checkpoint.seq}"
            lines.append(f"taken {checkpoint.created_at} ({why})")
            lines += [
                f"{one_line(name, 40)}: {one_line(str(said.get('summary', said.get('type'))), 100)}"
                for name, said in checkpoint.variables.items()
            ]
        warnings = [
            f"not kept: {one_line(left.name, 40)} ({one_line(left.type, 60)}): "
            f"{one_line(left.reason, 120)}"
            for left in checkpoint.not_saved
        ]
        if git is not None:
            warnings += [
                f"not kept: {one_line(str(left['path']), 100)} ({left['reason']})"
                for left in git.get("left_out", ())
            ]
        if not is_long and len(warnings) > _MOST:
            warnings = [*warnings[:_MOST], f"… {len(warnings) - _MOST} more: %checkpoint show"]
        if not checkpoint.is_trusted:
            warnings.append("not signed with your key: it is restored only with --trust")
        super().__init__(title, lines, warnings)


class CheckpointTable(Table, Sequence[Checkpoint]):
    """Checkpoints, one a row; a sequence of them."""

    def __init__(self, checkpoints: list[Checkpoint], damaged: Mapping[str, str]) -> None:
        self._checkpoints = checkpoints
        rows = [
            [
                one.created_at[:19].replace("T", " "),
                one_line(one.name, 40),
                one.checkpoint_id,
                one.parent_id or "",
                str(len(one.variables)),
                str(len(one.not_saved) or ""),
                human_bytes(one.bytes_new),
                one.reason if one.is_trusted else f"{one.reason}, foreign",
            ]
            for one in checkpoints
        ]
        rows += [["", "damaged", one, "", "", "", "", why] for one, why in damaged.items()]
        super().__init__(
            ("taken (UTC)", "name", "id", "after", "variables", "not kept", "new", "why"),
            rows,
            empty="no checkpoints yet",
        )

    @overload
    def __getitem__(self, index: int) -> Checkpoint: ...
    @overload
    def __getitem__(self, index: slice) -> list[Checkpoint]: ...
    def __getitem__(self, index: int | slice) -> Checkpoint | list[Checkpoint]:
        return self._checkpoints[index]

    def __len__(self) -> int:
        return len(self._checkpoints)


class DifferenceCard(_Lines):
    """How two checkpoints differ; `difference` holds the values."""

    def __init__(
        self, before: Checkpoint, after: Checkpoint | None, difference: Difference
    ) -> None:
        self.difference = difference
        names = f"{one_line(before.name, 40)} → {one_line(after.name, 40) if after else 'now'}"
        rows = [
            ("added", difference.added, "+"),
            ("changed", difference.changed, "~"),
            ("removed", difference.removed, "-"),
            ("files added", difference.files.added, "+"),
            ("files changed", difference.files.changed, "~"),
            ("files removed", difference.files.removed, "-"),
        ]
        lines = [f"{title}: {_named(found, sign)}" for title, found, sign in rows if found]
        super().__init__(names, lines or ["nothing differs"])


class RollbackCard(_Lines):
    """What a way back did; `rollback` holds the values."""

    def __init__(self, rollback: Rollback) -> None:
        self.rollback = rollback
        name = one_line(rollback.target.name, 60)
        title = f"{'would go' if rollback.is_dry_run else 'went'} back to {name}"
        files = rollback.files
        rows = [
            ("restored", rollback.restored, "~"),
            ("removed", rollback.removed, "-"),
            ("files changed", [*files.changed, *files.added], "~"),
            ("files removed", files.removed, "-"),
        ]
        lines = [f"{title}: {_named(found, sign)}" for title, found, sign in rows if found]
        lines = lines or ["nothing differed"]
        if rollback.safety is not None:
            lines.append(f"to undo it: %rollback {rollback.safety.checkpoint_id}")
        warnings = [
            f"not restored: {one_line(left.name, 40)} ({one_line(left.type, 60)})"
            + (f"; made by record {left.seq}" if left.seq is not None else "")
            for left in rollback.lost
        ]
        if rollback.kept:
            warnings.append(f"left as they are, they cannot be kept: {_named(rollback.kept, '')}")
        if rollback.files_reason:
            warnings.append(f"files are as they were: {one_line(rollback.files_reason, 160)}")
        super().__init__(title, lines, warnings)


class VerifyCard(_Lines):
    """What a look at every byte found; false when something is wrong."""

    def __init__(self, count: int, trouble: list[Trouble], damaged: Mapping[str, str]) -> None:
        self.trouble = trouble
        self.damaged = damaged
        title = f"{count} checkpoint{'' if count == 1 else 's'} verified"
        warnings = [
            f"{one.checkpoint_id}: {', '.join(one.variables)}: {one.reason}" for one in trouble
        ]
        warnings += [f"{one}: its manifest {why}" for one, why in damaged.items()]
        super().__init__(title, [] if warnings else ["all bytes are right"], warnings)

    def __bool__(self) -> bool:
        return not (self.trouble or self.damaged)


class PruneCard(_Lines):
    """What was thrown away; `pruned` holds the values."""

    def __init__(self, pruned: Pruned) -> None:
        self.pruned = pruned
        count = pruned.checkpoints
        super().__init__(
            f"{count} checkpoint{'' if count == 1 else 's'} deleted, "
            f"{human_bytes(pruned.bytes_freed)} freed",
            [],
        )


def _named(names: Sequence[str], sign: str) -> str:
    shown = [f"{sign}{one_line(name, 60)}" for name in names[:_MOST]]
    if len(names) > _MOST:
        shown.append(f"… {len(names) - _MOST} more")
    return " ".join(shown)
