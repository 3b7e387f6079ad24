"""A home of ours with workflows on it, and the times of their steps.

Used by `workflow_steps.py`, `workflow_scale.py` and the programs that are started for them.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from flow_kernel.store.run_rows import RunRow
from flow_kernel.workflow import events, spec
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.service import Service

INC: Final = """\
import json, sys
with open(sys.argv[2]) as file:
    variables = json.load(file)
print(json.dumps({"n": variables["n"] + 1}))
"""
"""The step of all chains: one JSON object in, one out."""
LENGTH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one run took.

    Attributes:
        whole_ms: From the call that goes through it until it is over.
        ended_ms: When each step was over, after that call, in the order of the ends.
    """

    whole_ms: float
    ended_ms: tuple[float, ...]

    @property
    def gaps_ms(self) -> list[float]:
        """From step to step; what it takes to have the first one is not in it."""
        pairs = zip(self.ended_ms[1:], self.ended_ms, strict=False)
        return [later - earlier for later, earlier in pairs]

    @property
    def per_step_ms(self) -> float:
        """The whole, the first step and both ends of the run included, by step."""
        return self.whole_ms / len(self.ended_ms)


class BenchHome:
    """A home in a directory of its own.

    Args:
        folder: An empty directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        home = Home(folder / ".flow")
        home.ensure()
        self.flow = flow_of(home, author="bench")
        self.service = Service(self.flow, by="bench")

    def workflow(self, steps: Sequence[dict[str, Any]], **variables: object) -> Workflow:
        """A checked workflow."""
        document = {"name": "bench", "variables": variables, "steps": steps}
        return spec.parse(document, directory=self.folder)

    def chain(self, length: int, script: str = INC) -> Workflow:
        """Steps one after the other that run the same file."""
        (self.folder / "inc.py").write_text(script, encoding="utf-8")
        steps = [
            {"id": f"s{number:03}", "file": "inc.py", "output_mapping": {"n": "n"}}
            for number in range(length)
        ]
        return self.workflow(steps, n=0)

    def run(
        self,
        workflow: Workflow,
        executor: str,
        variables: Mapping[str, object] | None = None,
        **options: Any,
    ) -> Taken:
        """One run to its end.

        Raises:
            ValueError: It did not end well.
        """
        row = self.begin(workflow, executor, variables, **options)
        ended: list[float] = []

        def tell(event: events.Event) -> None:
            if isinstance(event, events.StepEnded):
                ended.append(time.perf_counter())

        began = time.perf_counter()
        found = self.service.run(row, tell)
        whole = time.perf_counter() - began
        if not found.success:
            raise ValueError(f"{found}: {[step.error for step in found.steps if step.error][:1]}")
        return Taken(whole_ms=whole * 1000, ended_ms=tuple((each - began) * 1000 for each in ended))

    def begin(
        self,
        workflow: Workflow,
        executor: str,
        variables: Mapping[str, object] | None = None,
        **options: Any,
    ) -> RunRow:
        """A run that nothing was done of yet."""
        more = RunOptions(executor=executor, workers=2, **options)
        return self.service.begin(workflow, variables, options=more)

    def size(self) -> int:
        """Bytes of its files; it is closed first, so that nothing is pending."""
        self.close()
        return sum(each.stat().st_size for each in self.folder.rglob("*") if each.is_file())

    def close(self) -> None:
        """Leave it."""
        self.flow.close()
