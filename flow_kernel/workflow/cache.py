"""Under which key the result of a step is kept.

Called by `runner` for steps that say `cache`.

    key = SHA-256 of  what the step is  +  what goes in  +  where it works
                      +  the interpreter and what is installed

What goes in are the mapped inputs, or all variables and outputs where nothing is mapped. Files that
a script reads, the network and the clock are not seen: a step that depends on them must not be
cached, or map a variable that changes with them.
"""

import hashlib
import os
import sys
from collections.abc import Mapping

import orjson

from flow_kernel.workflow.mapping import Seen
from flow_kernel.workflow.model import Step


def cache_key(step: Step, seen: Seen, inputs: Mapping[str, bytes], environment: str) -> str:
    """64 hex.

    Args:
        step: Whose result.
        seen: All that the step could read.
        inputs: The mapped ones.
        environment: See `environment_key`.
    """
    parts = inputs if step.input_mapping else {**seen.variables, **seen.outputs}
    digest = hashlib.sha256(
        orjson.dumps([1, step.step_type, step.code, step.file or "", environment])
    )
    for name, raw in sorted(parts.items()):
        digest.update(orjson.dumps([name, len(raw)]))
        digest.update(raw)
    return digest.hexdigest()


def environment_key(directory: str) -> str:
    """What stands for the interpreter and its packages: names and versions, and when they changed.

    About 2 ms for 300 packages.

    Args:
        directory: Where steps work: the files that they name lie there.
    """
    import sysconfig  # 1 ms that a run without kept results need not pay

    found: list[tuple[str, int]] = []
    for folder in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        try:
            with os.scandir(folder) as entries:
                found += [
                    (entry.name, entry.stat().st_mtime_ns)
                    for entry in entries
                    if entry.name.endswith((".dist-info", ".egg-info", ".pth"))
                ]
        except OSError:
            continue
    said = orjson.dumps([sys.version, sys.executable, directory, sorted(found)])
    return hashlib.sha256(said).hexdigest()
