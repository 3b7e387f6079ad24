"""What the command line reads of `jupyter_flow_config.py`: the words for tasks.

Called by `task` and `report`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from jupyter_core.paths import jupyter_config_path

from flow_kernel.apps.terminal import Terminal
from flow_kernel.records.plain import one_line
from flow_kernel.session.formatter import TaskTexts, load_texts
from flow_kernel.settings import Settings

_FILE: Final = "jupyter_flow_config.py"


def texts_of(terminal: Terminal) -> TaskTexts:
    """The texts of tasks, from the formatter that the configuration names.

    A configuration or a formatter that fails costs a remark on stderr and nothing else.
    """
    ours = Settings()

    def say(text: str) -> None:
        terminal.remark(f"jupyter flow: {text}")

    chosen: dict[str, object] = {}
    for folder in reversed(jupyter_config_path()):  # the first one wins
        if (Path(folder) / _FILE).is_file():
            chosen |= _section(folder, say)
    name, types = chosen.get("formatter"), chosen.get("isolated_types")
    return load_texts(
        name if isinstance(name, str) else ours.formatter,
        isolated_types={str(kind) for kind in types}
        if isinstance(types, list | set | tuple)
        else ours.isolated_types,
        say=say,
    )


def _section(folder: str, say: Callable[[str], None]) -> Mapping[str, object]:
    """`c.FlowKernel` of the file in `folder`."""
    from traitlets.config.loader import PyFileConfigLoader  # only where there is such a file

    try:
        found = PyFileConfigLoader(_FILE, path=folder).load_config().get("FlowKernel", {})
    except Exception as error:  # noqa: BLE001 - a configuration is code of the user's
        say(f"{Path(folder) / _FILE}: {type(error).__name__}: {one_line(str(error), 100)}")
        return {}
    return dict(found)
