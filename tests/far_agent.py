"""What runs on the machine of `tests.far_machine`: it starts one kernel and tells how it ended.

Run by it, with its socket as stdin. When that breaks it does nothing: a machine does not know why.

    in:   {"cmd", "env", "info"}   {"signal": n}
    out:  {"shell_port", …, "pid"}   {"ended": exit code}
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")


def main() -> None:
    """Do it."""
    sock = socket.socket(fileno=0)
    lines = sock.makefile("rb")
    home = Path(os.environ["FAR_HOME"] or _emptied())
    order = json.loads(lines.readline())
    file = home / "connection.json"
    ports = dict(zip(PORTS, _free_ports(), strict=True))
    file.write_text(json.dumps({**order["info"], **ports}), "utf-8")
    kernel = subprocess.Popen(
        [word.replace("{connection_file}", str(file)) for word in order["cmd"]],
        cwd=home,
        env={**order["env"], "HOME": str(home), "TMPDIR": str(home), "IPYTHONDIR": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    _say(sock, {**ports, "pid": kernel.pid})
    threading.Thread(target=_obey, args=(lines, kernel.pid), daemon=True).start()
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:  # nothing runs here any more
            return
        if pid == kernel.pid:
            _say(sock, {"ended": os.waitstatus_to_exitcode(status)})


def _emptied() -> str:
    """Folders that we share with nobody, but for the programs in them: a checkout may lie there."""
    programs = [Path(__file__).parents[1], Path(sys.prefix), Path(sys.base_prefix)]
    for folder in map(Path, ("/tmp", "/dev/shm", "/run")):
        if folder.is_dir():
            kept = [path for path in programs if folder in path.parents]
            held = [os.open(path, os.O_PATH) for path in kept]
            subprocess.run(["mount", "-t", "tmpfs", "far", folder], check=True)
            for path, fd in zip(kept, held, strict=True):
                path.mkdir(parents=True, exist_ok=True)
                source = f"/proc/{os.getpid()}/fd/{fd}"  # by now its name is that of the empty one
                subprocess.run(["mount", "-c", "--bind", source, path], check=True)
                os.close(fd)
    return tempfile.mkdtemp(prefix="home")


def _free_ports() -> list[int]:
    found = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    numbers = [each.getsockname()[1] for each in found]
    for each in found:
        each.close()
    return numbers


def _obey(lines: Any, pid: int) -> None:
    for line in lines:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, json.loads(line)["signal"])


def _say(sock: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
