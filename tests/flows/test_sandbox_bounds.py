"""What the sandbox refuses because it is too much, whose a task is, and what its end leaves."""

import re
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from tornado.httpclient import HTTPClientError

from flow_kernel.errors import KernelGone, UsageError
from tests.promises import promise
from tests.sandboxes import Raw, SandboxServer, wait_for

pytestmark = pytest.mark.usefixtures("servers")

OPTIONS = (
    "--FlowSandboxApp.max_connections=3",
    "--FlowSandboxApp.max_tasks=2",
    "--FlowSandboxApp.keep_s=0.5",
    "--FlowSandboxApp.output_bytes=300000",
    "--ServerApp.identity_provider_class=tests.sandbox_users.HeaderUsers",
)


@promise("sandbox.bounded", "sandbox.guarded", "sandbox.survives")
def test_connections_tasks_output_and_users_have_bounds_and_the_end_leaves_nothing(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(SandboxServer(tmp_path / "s", *OPTIONS))
        ada, bob = (
            Raw(server, {"Authorization": f"token {server.token}", "X-User": name})
            for name in ("ada", "bob")
        )
        with ada, bob:
            flood = ada.run(command="yes", taskId="flood")
            with Raw(server), pytest.raises(HTTPClientError) as refused:
                Raw(server)

            ada.say({"type": "execute_command", "taskId": "mine", "command": "sleep 300"})
            bob.say({"type": "execute_command", "taskId": "mine", "code": "input()"})
            ada.hear_until("execution_started")
            bob.hear_until("execution_started")
            busy = ada.ask({"type": "execute_command", "taskId": "third", "command": "true"})
            bob.hear()
            bob.say({"type": "terminate_task", "taskId": "mine"})
            ended = bob.hear_until("task_error")[-1]
            unseen = [
                bob.ask({"type": kind, "taskId": "flood", **more})
                for kind, more in (
                    ("execute_command", {"resumeFrom": 1}),
                    ("terminate_task", {}),
                    ("send_input", {"input": "x"}),
                )
            ]
            assert ada.ask({"type": "getHealth"})["tasks"] == 1
            gone = ada.ask({"type": "execute_command", "taskId": "flood", "resumeFrom": 1})
            while gone["type"] != "task_error" or gone["seq"]:  # kept for half a second
                gone = ada.ask({"type": "execute_command", "taskId": "flood", "resumeFrom": 1})
            ada.say({"type": "execute_command", "taskId": "flood", "command": "true", "id": "x"})
            while (again := ada.hear()).get("id") != "x":
                pass
            logs = server.logs
            actors = {each["actor"] for each in logs.records("cell_started")}
        client = stack.enter_context(server.connect(reconnect_s=0.2))
        task = client.run("sleep 300")
        task.next()
        family = psutil.Process(server.process.pid).children(recursive=True)
        server.process.terminate()
        server.process.wait(20)
        assert [each for each in family if _runs(each)] == []
        assert [*task][-1].fields["reason"] == "terminated"
        with pytest.raises(KernelGone):
            client.health()

    said = "".join(each.get("output", "") for each in flood)
    assert (flood[-1]["reason"], bool(re.fullmatch(r"(y\n)+y?", said))) == ("limit", True)
    assert 300_000 < len(said) < 700_000
    assert refused.value.code == 503
    assert (busy["reason"], busy["taskId"], busy["seq"]) == ("busy", "third", 0)
    assert (ended["reason"], ended["taskId"]) == ("terminated", "mine")
    assert [each["reason"] for each in (*unseen, gone)] == ["not_found"] * 4
    assert again["reason"] == "forgotten"
    assert actors == {"sandbox:ada", "sandbox:bob"}
    wait_for(lambda: len(logs.records("cell", actor="sandbox:ada")) == 2)


@promise("sandbox.bounded")
def test_with_a_bound_that_makes_no_sense_the_server_has_no_sandbox_and_says_why(
    tmp_path: Path,
) -> None:
    with SandboxServer(tmp_path / "s", "--FlowSandboxApp.keep_s=nan") as server:
        with pytest.raises(UsageError, match="HTTP 404"):
            server.connect()
        assert "keep_s is a finite number, not nan" in server.said


def _runs(process: psutil.Process) -> bool:
    """True unless it has ended, awaited by anybody or not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
