"""What people read of the files of a checkpoint (pure).

Called by `shell.views.checkpoint_display` and `jupyter flow checkpoints`.
"""

from flow_kernel.records.plain import counted, human_bytes, one_line
from flow_kernel.session.checkpoints.checkpoint import Checkpoint


def files_line(one: Checkpoint) -> str:
    """Where the files of a checkpoint are, or why there are none."""
    said = []
    if one.git is not None:
        said.append(f"commit {one_line(str(one.git['commit']), 80)[:12]}")
        if one.git.get("tag"):
            said.append(f"tag {one_line(str(one.git['tag']), 80)}")
    if one.files is not None:
        count, nbytes = int(one.files.get("count", 0)), int(one.files.get("nbytes", 0))
        kind = "large file" if one.git is not None else "file"
        said.append(f"{counted(count, kind)} of {human_bytes(nbytes)}")
    if not said:
        return f"files are not kept: {one_line(one.files_reason, 160)}"
    return f"files: {', '.join(said)}"


def left_files(one: Checkpoint) -> list[str]:
    """The files that it does not hold, each with the reason."""
    parts = [part for part in (one.git, one.files) if part is not None]
    left = [file for part in parts for file in part.get("left_out", ())]
    told = [
        f"not kept: {one_line(str(file['path']), 100)} ({one_line(str(file['reason']), 80)})"
        for file in left
    ]
    count = int((one.files or {}).get("left_out_count", 0))
    more = count - len((one.files or {}).get("left_out", ()))
    return [*told, f"not kept: {counted(more, 'more file')}"] if more > 0 else told
