"""What agents are told of tasks that end with their steps, end elsewhere, or go on."""

from collections.abc import Iterator

import pytest

from tests.flows.test_events import NO_CHECKPOINTS, Agent
from tests.kernels import Kernel
from tests.promises import promise


@pytest.fixture(scope="module")
def flow() -> Iterator[Kernel]:
    """The kernel of the module."""
    with Kernel(arguments=NO_CHECKPOINTS) as kernel:
        yield kernel.ready()


@pytest.fixture(scope="module")
def agent(flow: Kernel) -> Agent:
    """An agent on the kernel of the module."""
    return Agent(flow)


@promise("events.told")
def test_an_agent_reads_which_steps_end_with_their_task_and_that_a_task_goes_on(
    agent: Agent,
) -> None:
    facts = [
        *agent.facts("%task start Import --steps load"),
        *agent.facts("%task step load"),
        *agent.facts("%task fail no disk"),
        *agent.facts("%task reopen"),
        *agent.facts("%task step load"),
        *agent.facts("%task finish"),
    ]

    task = facts[0][1]["task_id"]
    load = {"task_id": task, "step": "load"}
    assert facts == [
        ("task_start", {"task_id": task, "title": "Import", "steps": 1}),
        ("step_start", load),
        ("step_end", {**load, "error": "no disk"}),
        ("task_error", {"task_id": task, "status": "failed", "reason": "no disk"}),
        ("task_start", {"task_id": task, "title": "Import", "steps": 1, "resumed": True}),
        ("step_start", load),
        ("step_end", load),
        ("task_finish", {"task_id": task, "status": "done"}),
    ]


@promise("events.told")
def test_an_agent_reads_that_a_task_ended_elsewhere(agent: Agent) -> None:
    ((_, start), *_) = [*agent.facts("%task start Shared"), *agent.facts("%task step load")]
    facts = agent.facts(
        f"import flow_kernel\n_ = flow_kernel.open_flow().finish_task({start['task_id']!r})"
    )

    assert facts == [
        ("step_end", {"task_id": start["task_id"], "step": "load"}),
        ("task_finish", {"task_id": start["task_id"], "status": "done"}),
    ]


@promise("events.told")
def test_an_agent_reads_that_a_new_kernel_goes_on_with_a_task() -> None:
    with Kernel(
        env={"FLOW_TASK_ID": "T-0007", "FLOW_TASK_NAME": "Long", "FLOW_EVENTS": "1"}
    ) as one:
        first = one.run("1")
        two = Kernel(env={"FLOW_TASK_ID": "T-0007", "FLOW_EVENTS": "1", "FLOW_HOME": str(one.home)})
        with two:
            again = two.run("1")

    start = '"task_id":"T-0007","title":"Long","steps":0'
    assert (start in first.stdout, '"resumed"' in first.stdout) == (True, False)
    assert f'{start},"resumed":true' in again.stdout


@promise("events.told")
def test_an_agent_reads_of_the_checkpoints_that_steps_leave() -> None:
    with Kernel() as kernel:
        agent = Agent(kernel.ready())
        agent.events("%task start Work")
        agent.events("%task step load")
        kernel.run("%task step train")
        kernel.run("__import__('flow_kernel').current_session().checkpoints.settle()")
        found = agent.reader.feed(kernel.stream())

        assert [e.fields["title"] for e in found if e.name == "checkpoint"] == ["step load"]
