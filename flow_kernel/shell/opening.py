"""Opens the session of a shell, with the settings that were chosen for it.

Called by `shell.kernel` when the Flow kernel starts and by `shell.extension` for a stock ipykernel
or a terminal IPython.
"""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from jupyter_core.paths import jupyter_data_dir

from flow_kernel.records.home import resolve
from flow_kernel.records.quick_turns import QuickTurns
from flow_kernel.session.assembly import assemble
from flow_kernel.session.policy import tightest
from flow_kernel.settings import CheckpointSettings, PoolSettings, Settings
from flow_kernel.shell.attach import Attachment
from flow_kernel.shell.channels.own_comms import OwnComms
from flow_kernel.shell.isolated.outlet import KernelOutlet
from flow_kernel.shell.isolated.terminal import TerminalOutlet
from flow_kernel.shell.magic_set import add_completion, give_panels
from flow_kernel.shell.panel.buttons import ApproveButtons
from flow_kernel.shell.panel.panels import Panels
from flow_kernel.shell.taps.surroundings import surroundings
from flow_kernel.shell.views.input_box import InputBox
from flow_kernel.shell.views.progress_bar import ProgressBars
from flow_kernel.shell.views.terminal_box import TerminalBox

_ISOLATE_ALL: Final = "USE_SUBPROCESS_WORKER"
_POLICY: Final = "FLOW_APPROVE"
_HUMAN_ONLY: Final = "FLOW_HUMAN_ONLY"


def open_attachment(
    shell: Any, kernel: Any | None, settings: Settings, home: str = ""
) -> Attachment:
    """A new session, attached to `shell`."""
    env = dict(os.environ)
    if home:
        env.setdefault("FLOW_HOME", home)
    where = resolve(Path.cwd(), env, user_home=Path.home(), data_dir=Path(jupyter_data_dir()))
    notebook = env.get("JPY_SESSION_NAME") or _connection_file(kernel)
    bars = ProgressBars(has_displays=kernel is not None)
    around = surroundings(shell)
    turns = QuickTurns()
    comms = None if kernel is None else OwnComms(kernel, turns)
    outlet = TerminalOutlet() if kernel is None else KernelOutlet(kernel)
    session = assemble(
        where,
        env=os.environ,
        settings=settings,
        notebook=notebook,
        show_progress=bars,
        prompter=TerminalBox() if kernel is None else InputBox(kernel),
        around=around,
        ground=outlet,
        buttons=None if comms is None else ApproveButtons(kernel, comms),
        turns=turns,
        connection_file=str(getattr(getattr(kernel, "parent", None), "abs_connection_file", "")),
    )
    attachment = Attachment(shell, session, kernel, look_around=around.look_around, comms=comms)
    outlet.marks = attachment.marks
    if isinstance(outlet, KernelOutlet):
        outlet.tap = attachment.messages
        if outlet.tap is not None:
            outlet.tap.holds = outlet.passed_on.holds
    elif attachment.terminal is not None:
        attachment.terminal.speaker = outlet.speaker
    attachment.attach()
    attachment.panels = panels = Panels(kernel, comms)
    give_panels(shell, panels)
    add_completion(shell)
    around.look_around.begin(is_first=False)
    return attachment


def settings_of(chosen: Any, pool: PoolSettings) -> Settings:
    """The settings of a session.

    Args:
        chosen: Has them as attributes: a kernel, or a section of a configuration.
        pool: How workers are made.
    """
    default = Settings()
    command = getattr(chosen, "remind_command", "")
    return Settings(
        pool=pool,
        record=bool(getattr(chosen, "record", default.record)),
        actor=str(getattr(chosen, "actor", default.actor)),
        keep_outputs=getattr(chosen, "keep_outputs", default.keep_outputs) is True,
        formatter=str(getattr(chosen, "formatter", default.formatter)),
        isolated_types=frozenset(_texts(chosen, "isolated_types", default.isolated_types)),
        isolate_all=getattr(chosen, "isolate_all", default.isolate_all) is True
        or os.environ.get(_ISOLATE_ALL) == "1",
        memory_interrupt_at=_share(chosen, default.memory_interrupt_at),
        mirrors=tuple(_texts(chosen, "mirrors", default.mirrors)),
        remind_command=tuple(_argv(command) if type(command) is str else map(str, command)),
        checkpoints=_checkpoint_settings(chosen, default.checkpoints),
        human_only=getattr(chosen, "human_only", default.human_only) is True
        or os.environ.get(_HUMAN_ONLY) == "1",
        approve=tightest(getattr(chosen, "approve", default.approve), os.environ.get(_POLICY)),
    )


def _checkpoint_settings(chosen: Any, default: CheckpointSettings) -> CheckpointSettings:
    cells = getattr(chosen, "checkpoint_every_cells", default.every_cells)
    minutes = getattr(chosen, "checkpoint_every_minutes", default.every_minutes)
    budget = getattr(chosen, "checkpoint_budget_bytes", default.budget_bytes)
    return CheckpointSettings(
        budget_bytes=budget if type(budget) is int else default.budget_bytes,
        at_steps=getattr(chosen, "checkpoint_steps", default.at_steps) is True,
        every_cells=cells if type(cells) is int else default.every_cells,
        every_minutes=float(minutes) if isinstance(minutes, int | float) else 0.0,
    )


def _share(chosen: Any, default: float) -> float:
    value = getattr(chosen, "memory_interrupt_at", default)
    is_share = type(value) in (int, float) and 0 <= value <= 1
    return float(value) if is_share else default


def _texts(chosen: Any, name: str, default: Iterable[str]) -> Iterable[str]:
    """A list of texts; whatever else a configuration holds there counts as not said."""
    value = getattr(chosen, name, default)
    return map(str, value) if isinstance(value, list | tuple | set | frozenset) else default


def _argv(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote is missing
        return command.split()


def _connection_file(kernel: Any | None) -> str:
    """What a kernel and its restart have in common; empty where there is none."""
    path = getattr(getattr(kernel, "parent", None), "connection_file", "")
    return Path(path).name if type(path) is str else ""
