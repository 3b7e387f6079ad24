"""The page of `docs` that describes the sandbox, with the tables made from its schemas.

Called by `tests/apps/test_sandbox_parts.py`, which compares; run by hand after a schema has
changed:

    python -m tests.sandbox_page
"""

import json
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps.sandbox.extension import FlowSandboxApp
from tests.pages import _table
from tests.source import ROOT

SCHEMAS: Final = ROOT / "flow_kernel" / "apps" / "sandbox" / "schemas"
PAGE: Final = ROOT / "docs" / "sandbox.md"
_ABOUT: Final = """\
# Sandbox

`GET /flow/sandbox` of a Jupyter Server is a WebSocket that takes commands and cells of Python, and
tells what becomes of them. Each message is a text with one JSON object; a field that is null is
refused, but for the `taskId` of `ping` and `getHealth`: it is left out. Whoever may execute code in
kernels of the server may connect: with its token (`Authorization: token …` or `?token=…`) or its
cookie. A foreign `Host` or `Origin` is refused, with a token too.

A task runs in a worker process of the server: what it does to itself (a crash, a loop, all memory)
harms nobody else, and nothing that it has started outlives it. That keeps accidents away from the
server, and is no wall against hostile code: it runs as the user of the server does. Each task is in
the log of the home, with `sandbox:<user>` as its actor.

A task needs no connection. Its messages are numbered from 1 and kept until ten minutes after its
end: a client that comes back sends `resumeFrom` with the number that it wants next, and gets what
it has missed in order, each message once. A client that reads slowly holds up nobody: what waits
for it lies on the disk, at most 256 MB of output a task; a task that says more is ended.

Of each user the 200 tasks that ended last are kept, and those that somebody reads. All files
together may have 2 GB, and leave 512 MB of the disk free: where there is no room, the task that
ended first and that nobody reads is not kept any more; where there is none of those, what a task
says beyond its newest 128 kB is dropped, and `droppedBytes` tells how much.

The ids of tasks that are not kept any more are remembered for a day, 50,000 of each user: an order
that comes again with one of them, because the connection broke before its client had heard
anything, is refused as `forgotten`, and runs nothing a second time.

A server that was started anew knows none of these tasks. It says who it is as `server` in `pong`
and `health`; the client of Python does not run a task again that another server may have run, and
says that it is lost. It asks a server that is silent for 45 s for a sign of life; without one the
connection is made anew.

```python
from flow_kernel import sandbox

with sandbox.connect("http://127.0.0.1:8888", token) as client:
    task = client.run("make test", workspace="project", timeout_s=600)
    for message in task:
        print(message.output, end="")
    print(task.wait().exit_code)
```
"""
_REASONS: Final = """
## Reasons of `task_error`

| reason | `seq` 0 | meaning |
|---|---|---|
| `bad_message`, `too_large` | yes | The message is not as described here; it may have a million \
characters (1,048,576), and a text in it half of that. Where it cannot be read at all, `taskId` is \
null; with more than 4 MB the connection is closed. |
| `exists`, `not_found`, `not_running` | yes | There is one, there is none, or it has ended. |
| `forgotten` | yes | A task of that id has run, and is not kept any more: nothing was run. |
| `busy` | yes | Too many tasks, workers with names, or lines that nobody has read; or the server \
is about to end. |
| `refused` | yes, or not | Nothing has run: requirements that cannot be met, no worker, a \
workspace that is gone by then. |
| `terminated` | | By `terminate_task`. |
| `timeout`, `limit`, `memory_limit`, `blocked` | | It passed a limit. |
| `segfault`, `oom_kernel`, `killed`, `exit`, `lost` | | What its worker has died of. |
| `lost` | yes | What the task has said is not kept any more. |
| `error` | yes, or not | Anything else, in words. |
"""
_SETTINGS: Final = """
## Settings

In `jupyter_server_config.py`, or on the command line of the server
(`--FlowSandboxApp.max_tasks=50`). With a value that makes no sense the server starts without the
sandbox, and its log tells why.

| setting | default | meaning |
|---|---|---|
"""
_TITLES: Final = {"in": "What a client says", "out": "What the server says"}


def schemas(folder: str) -> dict[str, dict[str, Any]]:
    """All schemas of one direction, by the type of the message."""
    files = sorted((SCHEMAS / folder).glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


def page() -> str:
    """The page in Markdown."""
    lines = [_ABOUT.rstrip()]
    for folder, title in _TITLES.items():
        lines += ["", f"## {title}"]
        for name, schema in schemas(folder).items():
            lines += ["", f"### {name}", "", schema["description"], ""]
            lines += _table(schema, set(), takes_shared=False)
    return "\n".join(lines) + "\n" + _REASONS + _SETTINGS + _settings()


def _settings() -> str:
    """A line for each setting of the extension."""
    traits = FlowSandboxApp.class_own_traits(config=True)
    return "".join(
        f"| `c.FlowSandboxApp.{name}` | `{trait.default()}` | {trait.help} |\n"
        for name, trait in traits.items()
    )


if __name__ == "__main__":
    Path(PAGE).write_text(page(), encoding="utf-8")
