"""A directory of files and checkpoints of nothing but them, for the tests of both."""

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_kernel.session.checkpoints.checkpoint import Checkpoint, parsed
from flow_kernel.session.checkpoints.project_files import FilesPlace, ProjectFiles
from flow_kernel.store.files.snapshots import ChunkedFiles
from flow_kernel.store.git.find import find
from flow_kernel.store.git.snapshots import GitSnapshots
from tests.store.git_shapes import git

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flow_kernel.store.files.rules import Budget

SESSION = "a" * 32


class Project:
    """Files below a directory, and checkpoints of nothing but them."""

    def __init__(self, where: Path, *, with_git: bool, name: str = "project") -> None:
        self.where = where
        self.top = where / name
        self.top.mkdir(exist_ok=True)
        self.segments = where / "segments"
        if with_git:
            git(self.top, "init", "-q")
        self.newest: Mapping[str, Any] | None = None
        self.budgets: dict[str, Budget] = {}
        self.said: list[str] = []
        self.files = self.opened()
        self.count = 0

    def opened(self, user_home: Path | None = None) -> ProjectFiles:
        env = dict(os.environ) | {"GIT_CEILING_DIRECTORIES": str(self.where)}
        home = user_home or Path("/nobody's home")

        @cache
        def snapshots() -> GitSnapshots:
            found = find(self.top, env=env, user_home=home)
            return GitSnapshots(found, self.where / "private", owner="s")

        return ProjectFiles(
            FilesPlace(
                git=snapshots,
                chunked=lambda root: ChunkedFiles(root, self.segments, owner="f", **self.budgets),
                newest=lambda: self.newest,
                cwd=self.top,
                user_home=home,
                base=self.where,
                say=self.said.append,
            ),
            SESSION,
        )

    def take(self) -> Checkpoint:
        self.count += 1
        kept = self.files.begin("c", number=self.count, tag=False, parent=None).take()
        said = json.loads(json.dumps(kept.document()))
        return checkpoint(f"{self.count:012x}", **said)

    def back(self, target: Checkpoint) -> Any:
        """A safety checkpoint, then the way back, which is what a dry run has promised."""
        safety = self.take()
        promised, _ = self.files.restore(target, must=True, dry_run=True)
        done, _ = self.files.restore(target, must=True, dry_run=False)
        assert done == promised == self.files.difference(safety, target)
        return done


def checkpoint(checkpoint_id: str, **said: Any) -> Checkpoint:
    manifest = {
        "checkpoint_id": checkpoint_id, "name": "c", "parent_id": None, "created_at": "",
        "reason": "asked", "session": SESSION, "seq": 0, "plan_id": "local", "task_id": "T-0000",
        "step": None, "python": "3.11", "libraries": {}, "variables": {}, "groups": [],
        "not_saved": [], "anchors": [], "bytes_new": 0, **said,
    }  # fmt: skip
    return parsed(manifest, is_trusted=True)
