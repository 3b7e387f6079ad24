"""Where ipykernel or IPython is not as an override expects it, the kernel is stock there."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from flow_kernel.shell.overrides.all_overrides import OVERRIDES
from tests.environments import environment
from tests.kernels import Kernel
from tests.promises import promise

_GROUNDS: Final = {
    "messages without a hop": """
from ipykernel.iostream import IOPubThread as changed
made = changed.__init__
changed.__init__ = lambda self, socket, pipe=False, session=False, more=None: made(
    self, socket, pipe, session)
""",
    "requests without a hop": """
from ipykernel.socket_pair import SocketPair as changed
made = changed.__init__
changed.__init__ = lambda self, context, name, more=None: made(self, context, name)
""",
    "requests read once": """
from ipykernel.kernelbase import Kernel as changed
read = changed.shell_channel_thread_main
async def shell_channel_thread_main(self, msg, more=None):
    await read(self, msg)
changed.shell_channel_thread_main = shell_channel_thread_main
""",
    "buttons heard at once": """
from jupyter_client.session import Session as changed
feed = changed.feed_identities
changed.feed_identities = lambda self, msg_list, copy=True, more=None: feed(self, msg_list, copy)
""",
    "replies without a hop": """
from zmq.eventloop.zmqstream import ZMQStream as changed
handle = changed._handle_events
changed._handle_events = lambda self, fd, events, more=None: handle(self, fd, events)
""",
    "streams that wait for nobody": """
from ipykernel.iostream import OutStream as changed
made = changed.__init__
changed.__init__ = lambda self, session, pub_thread, name, more=None, **named: made(
    self, session, pub_thread, name, **named)
""",
    "history in batches": """
from IPython.core.history import HistoryManager as changed
stored = changed.store_output
changed.store_output = lambda self, line_num, more=None: stored(self, line_num)
""",
    "prints kept in bounds": """
from IPython.core.interactiveshell import InteractiveShell as changed
tee = changed._tee
changed._tee = lambda self, channel, more=None: tee(self, channel)
""",
    "outputs as their texts": """
from dataclasses import dataclass
from IPython.core import history as changed
@dataclass
class HistoryOutput(changed.HistoryOutput):
    more: object = None
changed.HistoryOutput = HistoryOutput
""",
    "requests known by a number": """
from jupyter_client.session import Session as changed
cull = changed._cull_digest_history
changed._cull_digest_history = lambda self, more=None: cull(self)
""",
    "work of a cell done once": """
from ipykernel import ipkernel as changed
accepts = changed._accepts_parameters
changed._accepts_parameters = lambda method, names, more=None: accepts(method, names)
""",
    "results under their own request": """
from ipykernel.displayhook import ZMQShellDisplayHook as changed
start = changed.start_displayhook
changed.start_displayhook = lambda self: start(self)
""",
    "questions beside the kernel's state": """
from ipykernel.kernelbase import Kernel as changed
published = changed._publish_status
changed._publish_status = lambda self, status, channel, parent=None, more=None: published(
    self, status, channel, parent)
""",
    "sources without IPython's syntax": """
from IPython.core.inputtransformer2 import TransformerManager as changed
transform = changed.do_token_transforms
changed.do_token_transforms = lambda self, lines, more=None: transform(self, lines)
""",
}
"""What another version may look like: it works, and takes one thing more than ours knows."""

_OURS: Final = {
    "messages without a hop": "hasattr(ip.kernel.iopub_thread, 'order')",
    "requests without a hop": "type(ip.kernel.shell_channel_thread).__name__.startswith('Flow')",
    "requests read once": (
        "vars(sys.modules['flow_kernel.shell.channels.quick_dispatch'])['_IS_USABLE']"
    ),
    "buttons heard at once": (
        "vars(sys.modules['flow_kernel.shell.channels.own_comms'])['_IS_USABLE']"
    ),
    "replies without a hop": "type(ip.kernel.shell_stream).__name__ == 'SharedStream'",
    "streams that wait for nobody": "hasattr(sys.stdout, 'unsent')",
    "history in batches": "hasattr(ip.history_manager, 'batch')",
    "prints kept in bounds": "ip._kept_prints is not None",
    "outputs as their texts": "'Packed' in type(ip.history_manager.outputs).__name__",
    "requests known by a number": "'Short' in type(ip.kernel.session.digest_history).__name__",
    "work of a cell done once": "hasattr(ipykernel.ipkernel._accepts_parameters, '_found')",
    "results under their own request": "'msg' in vars(type(ip.displayhook))",
    "questions beside the kernel's state": (
        "vars(sys.modules['flow_kernel.shell.channels.quiet_requests'])['_IS_USABLE']"
    ),
    "sources without IPython's syntax": "'Plain' in type(ip.input_transformer_manager).__name__",
}

_NEEDING: Final = {
    "requests without a hop": {"replies without a hop"},
    "requests read once": {"buttons heard at once"},
}
"""Others that go with one."""


def _changed(folder: Path, names: Iterable[str]) -> dict[str, str | None]:
    """The environment of a Python in which it is as `_GROUNDS` says."""
    script = "".join(f"def change():{text.replace(chr(10), chr(10) + ' ')}\nchange()\n"
                     for text in (_GROUNDS[name] for name in names))  # fmt: skip
    (folder / "sitecustomize.py").write_text(script, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


def _what_is_ours(kernel: Kernel) -> set[str]:
    pairs = ", ".join(f"{name!r}: {check}" for name, check in _OURS.items())
    ran = kernel.run(
        "import ipykernel.ipkernel, json, sys\nip = get_ipython()\n"
        f"print(json.dumps([name for name, is_ours in {{{pairs}}}.items() if is_ours]))"
    )
    return set(json.loads(ran.stdout))


def _works(kernel: Kernel) -> None:
    ran = kernel.run("import sys\nprint('one'); print('two', file=sys.stderr)\n'three'")
    assert (ran.stdout, ran.stderr, ran.result) == ("one\n", "two\n", "'three'")
    assert kernel.logs.one("cell", seq=ran.seq)["result"] == "'three'"
    failed = kernel.run("1 / 0")
    assert failed.error is not None
    assert failed.error["ename"] == "ZeroDivisionError"
    assert kernel.run("import asyncio\nawait asyncio.sleep(0, 4)").result == "4"
    assert kernel.run("%history -l 1").stdout.strip() == "import asyncio\nawait asyncio.sleep(0, 4)"


@promise("overrides.stock")
@pytest.mark.parametrize("name", _GROUNDS)
def test_where_the_ground_of_one_is_another_the_kernel_is_stock_there(
    name: str, tmp_path: Path
) -> None:
    with Kernel(env=_changed(tmp_path, [name])) as kernel:
        _works(kernel.ready())
        assert _what_is_ours(kernel) == set(_OURS) - {name} - _NEEDING.get(name, set())


@promise("overrides.stock")
def test_where_all_are_others_kernel_and_workers_are_stock_and_doctor_says_it(
    tmp_path: Path,
) -> None:
    env = _changed(tmp_path, _GROUNDS)
    with Kernel(env=env) as kernel:
        _works(kernel.ready())
        assert _what_is_ours(kernel) == set()
        isolated = kernel.run("%%isolated\nprint('apart')\n5")
        assert (isolated.stdout, isolated.result) == ("apart\n", "5")
        done = subprocess.run(
            [Path(sys.executable).with_name("jupyter-flow"), "doctor", "--json"],
            env=environment({**env, "FLOW_HOME": str(kernel.home)}),
            cwd=kernel.cwd,
            capture_output=True,
            text=True,
            check=False,
        )

    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert {name for name in OVERRIDES if not checks[name]["ok"]} == set(_GROUNDS)
    assert {checks[name]["detail"] for name in _GROUNDS} == {"changed: stock here"}


@promise("overrides.stock")
def test_here_all_are_ours(flow: Kernel) -> None:
    assert _what_is_ours(flow) == set(_OURS)
