"""The engines that workflows are put beside, and what can only be read of them.

Used by `workflows.py` and `workflow_peers.py`.

What survives: a "kill" means that what the engine has stored is with the system when a step is
over, "power" that it is on the disk (SQLite with `synchronous` FULL, or one fsync per step).
"""

from dataclasses import dataclass
from typing import Final

from checkpoint_process import ToolKind


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """One engine in one way to use it.

    Attributes:
        tool: The program that answers for it.
        survives: What its finished steps survive, as its documentation and its pragmas say.
        approval: Whether a run can wait for a person, and by what.
        resumed_by: What was done after the kill.
        length: Steps in its chain; fewer where one takes long.
        turns: How often the chain is run.
    """

    tool: ToolKind
    survives: str
    approval: str
    resumed_by: str
    length: int = 100
    turns: int = 9

    @property
    def name(self) -> str:
        """For programs."""
        return self.tool.name


def _tool(name: str, title: str, argument: str = "", *, of: str = "") -> ToolKind:
    of = of or name
    return ToolKind(
        name=name,
        title=title,
        environment=f"workflow-{of}",
        script=f"peers/workflow_{of}.py",
        argument=argument,
    )


def _ours(name: str, title: str, argument: str) -> ToolKind:
    return ToolKind(
        name=name, title=title, environment="", script="peers/workflow_flow.py", argument=argument
    )


_OUR_APPROVAL: Final = "yes: APPROVAL step, parked with 0 processes, answered anywhere"
_OUR_RESUME: Final = "`jupyter flow resume`"
FORK: Final = EngineKind(
    tool=_ours("flow", "flow, fork", "fork"),
    survives="kill",
    approval=_OUR_APPROVAL,
    resumed_by=_OUR_RESUME,
)
INLINE: Final = EngineKind(
    tool=_ours("flow-inline", "flow, inline", "inline"),
    survives="kill",
    approval=_OUR_APPROVAL,
    resumed_by=_OUR_RESUME,
)
DURABLE: Final = EngineKind(
    tool=_ours("flow-durable", "flow, inline, `--durable`", "inline durable"),
    survives="power",
    approval=_OUR_APPROVAL,
    resumed_by=_OUR_RESUME,
)
OURS: Final = (FORK, INLINE, DURABLE)

_INTERRUPT: Final = "yes: `interrupt()`, `Command(resume=…)`"
_PAUSE: Final = "yes: `pause_flow_run`, `suspend_flow_run`"
_AGAIN: Final = "begun anew"
PEERS: Final = (
    EngineKind(
        tool=_tool("langgraph", "LangGraph, SqliteSaver", "default"),
        survives="power",
        approval=_INTERRUPT,
        resumed_by="`invoke(None)` on the same thread",
    ),
    EngineKind(
        tool=_tool("langgraph-sync", 'LangGraph, `durability="sync"`', "sync", of="langgraph"),
        survives="power",
        approval=_INTERRUPT,
        resumed_by="`invoke(None)` on the same thread",
    ),
    EngineKind(
        tool=_tool("langgraph-normal", "LangGraph, NORMAL", "normal", of="langgraph"),
        survives="kill",
        approval=_INTERRUPT,
        resumed_by="`invoke(None)` on the same thread",
    ),
    EngineKind(
        tool=_tool("dbos", "DBOS, SQLite"),
        survives="power",
        approval="yes: `recv` and `send`",
        resumed_by="`DBOS.launch()`",
    ),
    EngineKind(
        tool=_tool("dask", "Dask distributed"),
        survives="nothing",
        approval="no",
        resumed_by=_AGAIN,
    ),
    EngineKind(
        tool=_tool("prefect", "Prefect", "default"),
        survives="nothing",
        approval=_PAUSE,
        resumed_by="the flow called again",
        turns=3,
    ),
    EngineKind(
        tool=_tool("prefect-persist", "Prefect, results kept by inputs", "persist", of="prefect"),
        survives="kill",
        approval=_PAUSE,
        resumed_by="the flow called again",
        turns=3,
    ),
    EngineKind(
        tool=_tool("dagster", "Dagster, in process", "in_process"),
        survives="kill",
        approval="no",
        resumed_by="marked as failed by hand, `from_failure`",
        turns=3,
    ),
    EngineKind(
        tool=_tool("dagster-multi", "Dagster, multiprocess", "multiprocess", of="dagster"),
        survives="kill",
        approval="no",
        resumed_by="marked as failed by hand, `from_failure`",
        length=5,
        turns=2,
    ),
    EngineKind(
        tool=_tool("metaflow", "Metaflow"),
        survives="kill",
        approval="no",
        resumed_by="`resume`",
        length=20,
        turns=2,
    ),
    EngineKind(
        tool=_tool("papermill", "papermill, a notebook a step"),
        survives="nothing",
        approval="no",
        resumed_by=_AGAIN,
        length=5,
        turns=2,
    ),
)
