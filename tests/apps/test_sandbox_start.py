"""What a server that nobody connects to loads of the sandbox."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments import environment

pytest.importorskip("jupyter_server")

_HEAVY = (
    *("flow_kernel.apps.sandbox.engine", "flow_kernel.apps.sandbox.connection"),
    *("flow_kernel.session.assembly", "flow_kernel.session.isolation.service"),
    *("flow_kernel.workers.pool", "flow_kernel.store.sqlite"),
)


def test_a_server_loads_what_runs_tasks_with_the_first_connection(tmp_path: Path) -> None:
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "import jupyter_server.serverapp\n"
        "before = {*sys.modules}\n"
        "from flow_kernel.apps.sandbox import extension\n"
        "from flow_kernel.apps.sandbox.server import Sandbox\n"
        "from flow_kernel.records.home import Home\n"
        "unused, used = (Sandbox(Home(Path('home')), root=Path()) for _ in range(2))\n"
        "handlers = [path for path, *_ in unused.handlers()]\n"
        "unused.close()\n"
        f"heavy = {_HEAVY!r}\n"
        "at_start = [name for name in heavy if name in {*sys.modules} - before]\n"
        "same = used.engine() is used.engine() is not None\n"
        "has_engine = 'flow_kernel.apps.sandbox.engine' in sys.modules\n"
        "used.close()\n"
        "gone = [used.engine(), unused.engine()]\n"
        "print(json.dumps([handlers, at_start, same, has_engine, gone]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment({}), capture_output=True, timeout=50, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == [["/flow/sandbox"], [], True, True, [None, None]]
    assert not (tmp_path / "home").exists()
