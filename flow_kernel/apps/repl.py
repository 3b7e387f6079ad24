"""`jupyter flow repl`: a kernel that programs talk to in lines of JSON.

Called by `cli`.
"""

import argparse
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flow_kernel.apps import kernelspec
from flow_kernel.apps.repl_client import Client
from flow_kernel.apps.repl_kernel import ReplKernel
from flow_kernel.apps.repl_pipes import Ended, Output, Signals
from flow_kernel.apps.repl_protocol import checked_timeout
from flow_kernel.apps.repl_session import ReplSession, Setting
from flow_kernel.apps.sources import find_home
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.names import DEFAULT_PLAN, is_task_id
from flow_kernel.session.approval_terms import duration_s
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.task_states import OPEN

_INTERRUPTED: Final = 130
_EPILOG: Final = """\
Each line on stdin is one request, each line on stdout one object. Requests run in their order;
"input" and "approve" overtake. The session ends with stdin, once all requests are answered.

  {"code":TEXT, "id"?, "timeout"?:SECONDS, "stream"?:true, "isolated"?:true}
      {"id", "success", "stdout", "stderr", "result", "error":{"ename","evalue","traceback"},
       "debug_info":{"added_vars","added_imports","elapsed_ms","execution","seq"}}
      and "truncated" with the full sizes, where output was cut; before that, when streamed,
      {"id", "stream":"stdout"|"stderr", "text"}
  isolated: in a worker, which may crash and gets copies of the variables that it reads;
      then "execution" is "worker"
  {"input":TEXT}                              what the running cell reads
      after {"input_request":{"prompt","password"?}}; "\\u0004" is the end of input
  {"approve":"A-0001", "decision":"yes"|"no", "comment"?}
      {"event":{"name":"approval_decided", "id", "status", "by", "channel"}}
  anything else
      {"error":{"type","message","hint"}}, with the id of the request where it has one
  {"event":{"name", …}} may come at any time.

A cell that takes longer than its timeout is interrupted, and its kernel killed if it ignores that:
"CellTimeout". A kernel that dies answers "KernelDied" with the reason, and a new one goes on.
Ctrl-C interrupts the running cell.

example: jupyter flow repl --task Clean --timeout 1m

  {"id":1,"code":"%task step load"}
  {"id":2,"code":"rows = [1, 2]; len(rows)"}
  {"id":3,"code":"name = input('who? ')"}
  {"input":"ann"}
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `repl`."""
    add = parser.add_argument
    add("--kernel", metavar="NAME", default=kernelspec.NAME, help="the kernel; default: flow")
    add("--task", metavar="NAME|ID", help="work on this task; a name that is new starts one")
    add("--timeout", metavar="T", help="for cells that name none, e.g. 30s or 10m; default: none")
    add("--home", metavar="DIR", help="where records go; default: the .flow of this directory")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Serve one client.

    Raises:
        NotFound: Jupyter knows no such kernel.
        UsageError: An option cannot be used.
        NotStarted: The kernel does not start.
        BrokenPipeError: Nobody reads the answers any more.
    """
    if kernelspec.find(options.kernel) is None:
        raise NotFound(
            f'Jupyter knows no kernel "{plain(options.kernel)}"', hint="try: jupyter flow install"
        )
    timeout_s = None if options.timeout is None else checked_timeout(duration_s(options.timeout))
    env = {key: value for key, value in terminal.env.items() if key != "JPY_SESSION_NAME"}
    home = _home(options.home, terminal)
    if options.home is not None:
        env["FLOW_HOME"] = str(home.root)
    if options.task is not None:
        env |= _task_env(home, options.task, env)
    label = f"repl-{secrets.token_hex(4)}.json"
    terminal.flush()
    # The name is short, because that of a socket is.
    with (
        tempfile.TemporaryDirectory(prefix="flow-", ignore_cleanup_errors=True) as folder,
        Signals() as signals,
    ):
        setting = Setting(
            start=lambda: ReplKernel(
                Path(tempfile.mkdtemp(dir=folder)),
                options.kernel,
                label=label,
                env=env,
                stderr=_descriptor(terminal.err),
            ),
            home=home.root,
            timeout_s=timeout_s,
            remark=lambda text: _remark(terminal, text),
        )
        stdin = None if sys.stdin is None else sys.stdin.fileno()
        client = Client(stdin, Output(terminal.out.fileno(), signals))
        try:
            ReplSession(setting, client, signals).run()
        except Ended:
            return _INTERRUPTED
    return 0


def _home(asked: str | None, terminal: Terminal) -> Home:
    """The home that is asked for, which may be new, or that of the working directory."""
    if asked is not None and not (path := terminal.cwd / Path(asked).expanduser()).exists():
        return Home(path.absolute())
    return find_home(terminal, asked)


def _task_env(home: Home, task: str, env: Mapping[str, str]) -> dict[str, str]:
    """What tells the kernel its task: an id, and the name for a task that is new."""
    if is_task_id(task):
        return {"FLOW_TASK_ID": task}
    name = task.strip()
    if not name:
        raise UsageError("a task needs a name")
    plan_id = env.get("FLOW_PLAN_ID") or DEFAULT_PLAN
    home.ensure()
    flow = flow_of(home)
    try:
        with flow.store.write() as change:
            known = [
                row.task_id
                for row in change.tasks(plan_id)
                if row.name == name and row.status in OPEN
            ]
            task_id = known[-1] if known else change.new_task_id(plan_id)
    finally:
        flow.close()
    return {"FLOW_TASK_ID": task_id, "FLOW_TASK_NAME": name}


def _descriptor(stream: object) -> int:
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]  # what has none is caught
    except (AttributeError, OSError, ValueError):
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _remark(terminal: Terminal, text: str) -> None:
    try:
        terminal.remark(f"jupyter flow repl: {plain(text)}")
        terminal.err.flush()
    except OSError:  # nobody reads remarks; the answers go on
        return
