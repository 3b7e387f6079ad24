"""A program that does a real task over the tools of the MCP server alone, and tells what was said.

Run by its flow test, and by hand for the transcript of the README:

    python -m tests.scripted_agent
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.agents import Agent, approve

ROWS = "station,celsius\nA,21.5\nB,n/a\nC,19.0\nD,20.5\n"
_WIDTH = 118
_UNTOLD = ("run", "ms", "level", "bound_sha256", "task", "dry_run", "approval")


class ScriptedAgent:
    """The agent, its calls and what it is told.

    Args:
        agent: Its client and server.
        person: Answers a question elsewhere; given its id.
    """

    def __init__(self, agent: Agent, person: Callable[[str], None]) -> None:
        self._agent = agent
        self._person = person
        self.lines: list[str] = []

    def play(self) -> None:
        """Load data, fail, fix, keep, ask, go back, report."""
        call = self._call
        call("task", action="start", name="Mean temperature", steps=["load", "clean", "report"])
        call("task", action="step", name="load")
        call(
            "run_cell",
            code="import csv\n"
            "with open('stations.csv') as f: rows = [*csv.DictReader(f)]\nlen(rows)",
        )
        call("run_cell", code="mean = sum(float(r['celsius']) for r in rows) / len(rows)")
        call("get_variable", name="rows", view="head")
        call("task", action="step", name="clean")
        call("checkpoint", name="loaded")
        code = "rows = [r for r in rows if r['celsius'] != 'n/a']\nlen(rows)"
        asked = call("request_approval", message="Drop the row without a value?", code=code)
        self.lines.append(f"    a person, elsewhere: $ jupyter flow approve {asked['approval']}")
        self._person(str(asked["approval"]))
        call("run_status", run=asked["approval"])
        kept = call("run_cell", code=code)
        call("run_cell", code="rows = rows[:1]  # meant to sort", expect_rev=kept["rev"])
        dry = call("rollback", to="loaded")
        call("rollback", to="loaded", dry_run=False, confirm=dry["confirm"])
        call("run_cell", code=code)
        call(
            "run_cell",
            code="mean = sum(float(r['celsius']) for r in rows) / len(rows)\nround(mean, 2)",
        )
        call("task", action="step", name="report")
        call("task", action="set", values={"mean": 20.33, "rows": 3})
        call("task", action="finish")

    def _call(self, tool: str, **arguments: object) -> dict[str, object]:
        answer = self._agent.call(tool, **arguments)
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        told = {key: value for key, value in answer.said.items() if key not in _UNTOLD}
        shown = json.dumps(told, ensure_ascii=False)
        self.lines += [_cut(f"> {tool}({given})"), _cut(f"< {shown}")]
        return answer.said


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def main() -> None:
    """Print the transcript."""
    with Agent("--new", name="scribe") as agent:
        Path(agent.cwd, "stations.csv").write_text(ROWS, encoding="utf-8")
        scripted = ScriptedAgent(agent, lambda approval_id: approve(agent.home, approval_id))
        scripted.play()
    sys.stdout.write("\n".join(scripted.lines) + "\n")


if __name__ == "__main__":
    main()
