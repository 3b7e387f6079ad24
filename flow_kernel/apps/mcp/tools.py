"""The tools: names, arguments, hints (pure). They are read by every agent, so each word costs.

Used by `serving`, which lists them, and by `arguments`, which checks calls against them.
"""

from dataclasses import dataclass
from typing import Any, Final

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 86400}
_YES: Final[Schema] = {"type": "boolean"}
_ANY: Final[Schema] = {}

INSTRUCTIONS: Final = (
    "A live Python session that records what every cell does. Begin work with task start; run "
    "short cells; look at `diff` and `err` of each result; take a checkpoint before what is hard "
    "to undo; ask with request_approval before what cannot be undone, and wait for the answer of "
    "a person: no tool approves. Pass `rev` of your last result as expect_rev when a person works "
    "in the same notebook. Long output: read the resource in `more`. Close with task finish."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolText:
    """A tool as an agent reads it.

    Attributes:
        about: What it does.
        arguments: Each with its schema.
        required: Those that have to be there.
        reads: It changes nothing.
        destroys: It may undo what is there.
        is_idempotent: Called again with the same arguments it does no more.
    """

    about: str
    arguments: Schema
    required: tuple[str, ...] = ()
    reads: bool = False
    destroys: bool = False
    is_idempotent: bool = False


def _said(schema: Schema, about: str) -> Schema:
    return {**schema, "description": about}


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": [*words]}


TOOLS: Final[dict[str, ToolText]] = {
    "run_cell": ToolText(
        about="Run Python (IPython) code in the session. Returns output, value, error and the diff "
        "of variables (+ ~ -), or {state:running, run} after wait_s: then use run_status. Other "
        "tools answer {state:queued, behind} at once while another cell runs.",
        arguments={
            "code": _TEXT,
            "isolated": _said(_YES, "in a worker that may crash; gets copies of variables"),
            "timeout": _said(_SECONDS, "seconds until it is interrupted"),
            "wait_s": _said(_SECONDS, "default 20"),
            "expect_rev": _said(_COUNT, "fail if other cells ran since this rev"),
            "idempotency_key": _said(_TEXT, "a repeat gives the same run"),
            "task": _said(_TEXT, "task id that must be open"),
        },
        required=("code",),
        destroys=True,
    ),
    "run_status": ToolText(
        about="State of a run, or of an approval (A-0001). Without run: what the session does now.",
        arguments={
            "run": _TEXT,
            "since": _said(_COUNT, "only output from this character on"),
            "wait_s": _SECONDS,
            "cancel": _said(_YES, "interrupt that run"),
        },
        is_idempotent=True,
    ),
    "task": ToolText(
        about="Give the work a shape: start (name, steps), step (name), log (text), set (values), "
        "finish, fail (text: why), status.",
        arguments={
            "action": _one_of("start", "step", "log", "set", "finish", "fail", "status"),
            "name": _TEXT,
            "text": _said(_TEXT, "description, log line or reason"),
            "steps": {"type": "array", "items": _TEXT},
            "values": {"type": "object"},
            "wait_s": _SECONDS,
        },
        required=("action",),
    ),
    "request_approval": ToolText(
        about="Ask a person. Returns the answer, or status open with an approval id: go on with "
        "other work, look with run_status, never act without approved. Bound to message, payload "
        "and code.",
        arguments={
            "message": _TEXT,
            "payload": _said(_ANY, "JSON shown to the person"),
            "code": _said(_TEXT, "what will be run"),
            "risk": _one_of("low", "medium", "high"),
            "wait_s": _said(_SECONDS, "default 0"),
        },
        required=("message",),
    ),
    "checkpoint": ToolText(
        about="Keep variables and files as they are now. action list shows all, diff compares "
        "name with now.",
        arguments={
            "name": _TEXT,
            "action": _one_of("take", "list", "diff"),
            "wait_s": _SECONDS,
        },
    ),
    "rollback": ToolText(
        about="Go back to a checkpoint. First a dry run: says what would change and gives confirm; "
        "the real call brings dry_run false and that confirm.",
        arguments={
            "to": _said(_TEXT, "name, id, or -1"),
            "what": _one_of("all", "state", "files"),
            "dry_run": _said(_YES, "default true"),
            "confirm": _TEXT,
            "wait_s": _SECONDS,
        },
        required=("to",),
        destroys=True,
    ),
    "get_history": ToolText(
        about="What was done here, by whom: records after since_seq, newest last.",
        arguments={
            "since_seq": _COUNT,
            "before_seq": _COUNT,
            "kinds": {
                "type": "array",
                "items": _said(_TEXT, "cell, task, step, context, approval, checkpoint, …"),
            },
            "limit": {"type": "integer", "minimum": 1, "maximum": 50},
        },
        reads=True,
        is_idempotent=True,
    ),
    "get_variable": ToolText(
        about="A variable; without name a list of all.",
        arguments={"name": _TEXT, "view": _one_of("repr", "schema", "head")},
        reads=True,
        is_idempotent=True,
    ),
    "run_workflow": ToolText(
        about="Run a workflow file or spec: isolated, durable steps.",
        arguments={
            "file": _TEXT,
            "spec": {"type": "object"},
            "variables": {"type": "object"},
            "wait_s": _SECONDS,
        },
        destroys=True,
    ),
    "kernel": ToolText(
        about="list: the sessions that run here. attach (name): work in another one; "
        "one of your own goes on, to come back to, until this server ends.",
        arguments={"action": _one_of("list", "attach"), "name": _TEXT},
        required=("action",),
    ),
}


def schema_of(tool: ToolText) -> Schema:
    """The arguments of a tool as a JSON Schema."""
    schema: Schema = {"type": "object", "properties": tool.arguments, "additionalProperties": False}
    return {**schema, "required": [*tool.required]} if tool.required else schema
