r"""Workflows: multi-step Python that is isolated, durable and fast.

    from flow_kernel import workflow

    found = workflow.run("etl.toml", variables={"day": "2026-01-31"})
    workflow.execute_step("PYTHON_SCRIPT", {}, {"n": 1}, "print('{\"m\": 2}')")

Names are loaded on first use; `run` is a part of the public face and lies above this floor.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flow_kernel.workflow.load import from_object
    from flow_kernel.workflow.model import Step, Workflow
    from flow_kernel.workflow.single import execute_step
    from flow_kernel.workflow.views import Run
    from flow_kernel.workflows import resume, run

__all__ = ["Run", "Step", "Workflow", "execute_step", "from_object", "resume", "run"]

_HOMES = {
    "Run": "flow_kernel.workflow.views",
    "Step": "flow_kernel.workflow.model",
    "Workflow": "flow_kernel.workflow.model",
    "execute_step": "flow_kernel.workflow.single",
    "from_object": "flow_kernel.workflow.load",
    "resume": "flow_kernel.workflows",
    "run": "flow_kernel.workflows",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
