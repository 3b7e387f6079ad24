"""A scripted agent does a whole task over MCP alone; the log and the report tell what it did."""

from pathlib import Path

from tests.agents import Agent, approve
from tests.logs import TaskLogs
from tests.promises import promise
from tests.scripted_agent import ROWS, ScriptedAgent


@promise("mcp.task")
def test_an_agent_loads_fails_fixes_asks_goes_back_and_reports_over_its_tools_alone() -> None:
    with Agent("--new", name="scribe") as agent:
        Path(agent.cwd, "stations.csv").write_text(ROWS, encoding="utf-8")
        scripted = ScriptedAgent(agent, lambda approval_id: approve(agent.home, approval_id))
        scripted.play()
        report = agent.read("flow://report/T-0001")
        logs = TaskLogs(agent.home)
        cells = logs.records("cell", task_id="T-0001")
        approval = logs.records("approval", status="approved")[0]
        kept = [record["name"] for record in logs.records("checkpoint", name="loaded")]
        rollbacks = logs.records("rollback")

    failed = [cell["error"]["ename"] for cell in cells if cell["error"]]
    assert (failed, kept, len(rollbacks)) == (["ValueError"], ["loaded"], 1)
    assert {cell["actor"] for cell in cells} == {"mcp:scribe"}
    assert (approval["requested_by"], approval["decided_by"]) == ("mcp:scribe", "ann")
    assert any('"result": "20.33"' in line for line in scripted.lines)
    assert all(word in report for word in ("Mean temperature", "load", "clean", "Drop the row"))
