"""The command line `jupyter flow VERB`: finds the verb, runs it, turns errors into exit codes.

The entry of the script `jupyter-flow`, which the `jupyter` command finds by its name.

A verb is a module with `configure` and `run`; it is imported only when it is asked for.

    0 ok   1 failed, or damage found   2 wrong arguments or ids   3 waits for an answer
    4 refused   130 interrupted
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NoReturn

from flow_kernel._version import __version__
from flow_kernel.apps.terminal import Terminal, open_closed_streams
from flow_kernel.errors import FlowError, UsageError, WorkflowInvalid

INTERRUPTED: Final = 130
PROGRAM: Final = "jupyter flow"
GROUPS: Final = {
    "read what happened": {
        "log": "what each cell did, as a table or as records",
        "stats": "cells, failures and time per task and per day",
        "replay": "a notebook or a script made from a log",
    },
    "follow the work": {
        "tasks": "the tasks of this project",
        "task": "one task: begun, stepped, ended, shown with its steps and context",
        "context": "what a task knows, and who said so",
        "report": "what was planned and done, as one file for people",
        "migrate": "contexts kept as JSON files, into the store",
        "approvals": "questions that wait for a person, and what was answered",
        "approve": "answer a question with yes",
        "reject": "answer a question with no",
        "watch": "all of it live in a terminal: sessions, questions, tasks, workers",
    },
    "run workflows": {
        "run": "a workflow: steps of Python that are isolated, durable and fast",
        "runs": "what was run: list, show, diff",
        "resume": "runs that were killed or waited for an answer go on",
    },
    "for programs": {
        "repl": "a kernel that runs cells from lines of JSON",
        "mcp": "a session for agents, over the Model Context Protocol",
    },
    "isolated cells": {
        "workers": "the processes that isolated cells run in, and what they use",
    },
    "go back in time": {
        "checkpoints": "snapshots of variables and files: list, tree, show, verify, restore, prune",
        "diff": "how two of them differ",
        "rollback": "the files of the project as they were at one of them",
        "key": "what tells your checkpoints from foreign ones: show, export, import",
    },
    "look after the logs": {
        "check": "verify every line, and repair what can be repaired",
        "prune": "delete logs that are older than an age",
    },
    "set up": {
        "install": "make the kernel known to Jupyter",
        "uninstall": "undo that",
        "doctor": "check this installation by running a cell",
        "demo": "run the tour notebook and show its log",
        "lab": "start JupyterLab with the kernel ready",
    },
    "on pages": {
        "serve": "the dashboard: tasks, cells, approvals, checkpoints, runs and workers",
    },
}
_NEXT_LINE: Final = "\n  "
# Verbs that share the module of another.
_MODULES: Final = {
    "uninstall": "install",
    "approve": "approvals",
    "reject": "approvals",
    "resume": "run",
    "mcp": "mcp.verb",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    open_closed_streams()
    try:
        terminal = Terminal.of_process()
        code = _dispatch(arguments, terminal)
        terminal.flush()
    except FlowError as error:
        return _fail(error, arguments, error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return 0
    except OSError as error:
        code = _fail(FlowError(_sentence(error)), arguments, 1)
        _silence_stdout()
    return code


def _dispatch(arguments: list[str], terminal: Terminal) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        terminal.print(_overview())
        if not arguments:
            raise UsageError("no verb was named")
        return 0
    verb, *rest = arguments
    if verb == "--version":
        terminal.print(f"flow_kernel {__version__}")
        return 0
    summaries = {name: text for verbs in GROUPS.values() for name, text in verbs.items()}
    if verb not in summaries:
        raise UsageError(f'there is no verb "{verb}"', hint=_nearest(verb, list(summaries)))
    module = import_module(f"flow_kernel.apps.{_MODULES.get(verb, verb)}")
    summary = summaries[verb]
    parser = _Parser(
        prog=f"{PROGRAM} {verb}",
        description=summary[0].upper() + summary[1:] + ".",
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this help")
    parser.set_defaults(verb=verb)
    module.configure(parser)
    end = rest.index("--") if "--" in rest else len(rest)
    if {"-h", "--help"} & set(rest[:end]):
        terminal.print(parser.format_help().rstrip())
        return 0
    if getattr(module, "PASSES_ARGUMENTS_ON", False):
        options, options_left = parser.parse_known_args(rest)
        options.rest = options_left
    elif getattr(module, "TAKES_WORDS", False):
        # Options stand anywhere among the words; what follows two dashes is a word as it is.
        options = parser.parse_intermixed_args(rest[:end])
        options.words += rest[end + 1 :]
    else:
        options = parser.parse_args(rest)
    code: int = module.run(options, terminal)
    return code


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument as one sentence; the usage is for those who ask for it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see {self.prog} --help")


def _overview() -> str:
    lines = [f"usage: {PROGRAM} VERB [ARGUMENT...]", ""]
    lines.append("The flight recorder of Jupyter kernels: what every cell did, on record.")
    for title, verbs in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<11} {text}" for name, text in verbs.items()]
    lines += ["", f"{PROGRAM} VERB --help tells more, with an example."]
    return "\n".join(lines)


def _nearest(verb: str, known: list[str]) -> str:
    from difflib import get_close_matches  # only a typing error needs it

    near = get_close_matches(verb, known, n=1)
    return f"did you mean {near[0]}?" if near else f"see {PROGRAM} --help"


def _fail(error: FlowError, arguments: list[str], code: int) -> int:
    from flow_kernel.apps.tables import plain  # costs 5 ms; only an error needs it

    try:
        said = [plain(line) for line in str(error).split("\n")]
        print(f"{PROGRAM}: {_NEXT_LINE.join(said)}", file=sys.stderr)
        if "--json" in arguments:
            terminal = Terminal.of_process()
            facts: dict[str, object] = {
                "type": type(error).__name__,
                "message": error.message,
                "hint": error.hint,
            }
            if isinstance(error, WorkflowInvalid):
                facts["problems"] = list(error.problems)
            terminal.document({"error": facts})
            terminal.flush()
    except OSError:  # nobody is left to be told; the exit code still says it
        _silence_stdout()
    return code


def _sentence(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    where = f": {error.filename}" if error.filename is not None else ""
    return f"{reason[0].upper()}{reason[1:]}{where}"


def _silence_stdout() -> None:
    # What is still buffered would raise again when the interpreter closes the stream.
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):  # a stream without a descriptor has nothing to close
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stdout)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main())
