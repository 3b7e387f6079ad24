"""Which plan and task the environment means."""

import pytest

from flow_kernel.session.identity import identify
from flow_kernel.session.place import trace_of

SESSION = "ab" * 16


def test_without_ids_cells_go_to_the_adhoc_task_with_a_trace_of_their_own() -> None:
    found = identify({}, session=SESSION)
    assert (found.plan_id, found.task_id, found.complaint) == ("local", "T-0000", "")
    assert trace_of(SESSION, found.plan_id, found.task_id) == SESSION


def test_sessions_of_one_task_share_a_trace() -> None:
    env = {"FLOW_PLAN_ID": "study", "FLOW_TASK_ID": "T-0042"}
    found = identify(env, session="1" * 32)
    one, other = (trace_of(session * 32, found.plan_id, found.task_id) for session in "12")
    assert (found.plan_id, found.task_id) == ("study", "T-0042")
    assert one == other
    assert len(one) == 32


@pytest.mark.parametrize(
    "env",
    [
        {"FLOW_TASK_ID": "nonsense"},
        {"FLOW_TASK_ID": "T-1"},
        {"FLOW_TASK_ID": "../../etc"},
        {"FLOW_PLAN_ID": "a/b", "FLOW_TASK_ID": "T-0001"},
        {"FLOW_PLAN_ID": "x\n", "FLOW_TASK_ID": "T-0001"},
        {"FLOW_PLAN_ID": "p" * 5000},
    ],
)
def test_an_ill_formed_id_means_the_adhoc_task_and_one_sentence_why(env: dict[str, str]) -> None:
    found = identify(env, session=SESSION)
    assert (found.plan_id, found.task_id) == ("local", "T-0000")
    assert "FLOW_" in found.complaint
    assert "\n" not in found.complaint
    assert len(found.complaint) < 200
