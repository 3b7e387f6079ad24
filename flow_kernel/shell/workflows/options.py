"""What stands on the line of `%workflow`, read (pure).

Called by `shell.workflows.answers` and, for completion, by `shell.workflows.magics`.
"""

import argparse
import shlex
from pathlib import Path
from typing import Final, NoReturn

from flow_kernel.errors import UsageError
from flow_kernel.workflow.options import RunOptions

VERBS: Final = {
    "run": "run a workflow, and see how it goes on",
    "list": "the runs of this project, the newest first",
    "show": "one run with its picture, by default the last one",
    "resume": "go on with a run that was killed, waits, was stopped or has failed",
}
_WAIT: Final = "--wait"
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "run": (
        *("--var", "--vars", "--on", "--workers", "--task", "--from", "--only", "--of-run"),
        *("--keep-files", "--no-cache", "--durable", "--store", _WAIT),
    ),
    "list": ("--limit",),
    "show": (),
    "resume": ("--failed", _WAIT),
}
_MOST: Final = 50


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint="try: %workflow?")


def read(line: str) -> argparse.Namespace:
    """The verb and its options.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if words and words[0] not in VERBS:
        raise UsageError(f'there is no verb "{words[0][:40]}"', hint="try: %workflow?")
    return _parser().parse_args(words or ["list"])


def run_options_of(options: argparse.Namespace) -> RunOptions:
    """How it is run."""
    if options.workers < 0:
        raise UsageError("--workers is a number of steps")
    return RunOptions(
        executor=options.on,
        workers=options.workers,
        is_durable=options.durable,
        uses_cache=not options.no_cache,
        keep_in=str(Path(options.keep_files).expanduser().absolute()) if options.keep_files else "",
        waits=options.wait,
    )


def _parser() -> _Parser:
    parser = _Parser(prog="%workflow", add_help=False, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", parser_class=_Parser)
    subs = {verb: verbs.add_parser(verb, add_help=False, allow_abbrev=False) for verb in VERBS}
    add = subs["run"].add_argument
    add("workflow")
    add("--var", action="append", default=[])
    for option in ("--vars", "--on", "--task", "--only", "--of-run", "--keep-files"):
        add(option, default="")
    add("--from", dest="start_at", default="")
    add("--workers", type=int, default=0)
    for flag in ("--no-cache", "--durable", "--store", _WAIT):
        add(flag, action="store_true")
    subs["list"].add_argument("--limit", type=int, default=_MOST)
    subs["show"].add_argument("run", nargs="?", default="")
    subs["resume"].add_argument("run", nargs="?", default="")
    for flag in ("--failed", _WAIT):
        subs["resume"].add_argument(flag, action="store_true")
    return parser
