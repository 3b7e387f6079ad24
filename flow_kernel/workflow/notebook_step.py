"""A notebook as a program that keeps the contract of steps: variables in, one JSON object out.

Run by executors for steps of type NOTEBOOK, and by people who repeat one by hand:

    python -m flow_kernel.workflow.notebook_step NOTEBOOK --variables-file FILE

    variables   those that the cell with the tag `parameters` assigns take its values' place
    stderr      which cell begins, and what the cells say
    stdout      {"notebook": the executed copy, …} with the keys of the last JSON object that a
                cell has printed, or that is the result of the last cell
    exit code   1 for a cell that has failed, with its traceback; 2 for wrong arguments

The copy is `.flow/workflow_runs/<run>/<step>.ipynb` where `FLOW_HOME` says where that is, else it
lies in the working directory. It is written as the cells are run: a notebook that was killed shows
how far it got.
"""

import argparse
import ast
import json
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from flow_kernel.errors import FlowError, MissingExtra, UsageError
from flow_kernel.records.plain import one_line, strip_controls
from flow_kernel.workflow.mapping import FLOW

_KERNEL: Final = "flow"
_TAG: Final = "parameters"
_NO_NAME: Final = re.compile(r"[^\w.-]+", re.ASCII)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the notebook of the arguments.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m flow_kernel.workflow.notebook_step")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--variables-file", type=Path, required=True)
    said = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    logging.getLogger("papermill").setLevel(logging.INFO)
    try:
        output = run(said.notebook, said.variables_file)
    except FlowError as error:
        _say(str(error))
        return 1
    if output is None:
        return 1
    sys.stdout.write(json.dumps(output) + "\n")
    return 0


def run(notebook: Path, variables_file: Path) -> dict[str, Any] | None:
    """Run a notebook.

    Args:
        notebook: It; it stays as it is.
        variables_file: One JSON object.

    Returns:
        Its output; None where a cell has failed, which was told on stderr.

    Raises:
        MissingExtra: There is no papermill.
        UsageError: There is no such notebook, it is none, or no kernel can run it.
    """
    try:
        import papermill  # type: ignore[import-untyped] # a second that only notebooks pay
        from papermill.exceptions import (  # type: ignore[import-untyped] # likewise
            PapermillExecutionError,
        )
    except ImportError:
        raise MissingExtra("papermill", extra="notebook") from None
    document = _document(notebook)
    variables = _variables(variables_file)
    copy = _copy_of(notebook, variables.get(FLOW))
    copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    given: dict[str, Any] = {
        "parameters": _parameters(document, variables),
        "cwd": os.getcwd(),  # noqa: PTH109 - papermill takes a text
        "log_output": True,
        "progress_bar": False,
    }
    _say(f"{notebook.name} runs; its copy is {copy}")
    try:
        try:
            done = papermill.execute_notebook(notebook, copy, kernel_name=_KERNEL, **given)
        except Exception as error:
            if type(error).__name__ != "NoSuchKernel":  # of a package that this floor does not know
                raise
            _say(f'there is no kernel "{_KERNEL}" here: the one that the notebook names runs it')
            done = papermill.execute_notebook(notebook, copy, **given)
    except PapermillExecutionError as error:
        _tell(error, notebook)
        return None
    except Exception as error:
        raise UsageError(f"{notebook.name} cannot be run: {error!r:.300}") from error
    return {"notebook": str(copy), **_said(done["cells"])}


def _document(notebook: Path) -> dict[str, Any]:
    try:
        document = json.loads(notebook.read_text("utf-8"))
        cells = document["cells"]
        if not all(isinstance(cell["metadata"], dict) for cell in cells):
            raise TypeError("a cell without metadata")  # noqa: TRY301 - told below like the rest
    except OSError as error:
        raise UsageError(f"{notebook} cannot be read ({error.strerror or error})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{notebook} is no notebook of format 4 ({error!r:.100})") from None
    return dict(document)


def _variables(path: Path) -> dict[str, Any]:
    try:
        variables = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no variables file ({error!s:.100})") from None
    if not isinstance(variables, dict):
        raise UsageError(f"{path} is no variables file: it holds no JSON object")
    return variables


def _copy_of(notebook: Path, flow: object) -> Path:
    """Where the executed copy goes."""
    known = flow if isinstance(flow, Mapping) else {}
    run_id, step_id = (
        _NO_NAME.sub("_", str(known.get(name, ""))).strip("._")[:80]
        for name in ("run_id", "step_id")
    )
    home = os.environ.get("FLOW_HOME")
    if home and run_id and step_id:
        return Path(home).absolute() / "workflow_runs" / run_id / f"{step_id}.ipynb"
    return Path.cwd() / ".".join(filter(None, (notebook.stem, run_id, step_id, "ran", "ipynb")))


def _parameters(document: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Those variables that the notebook has a place for."""
    tagged = [cell for cell in document["cells"] if _TAG in (cell["metadata"].get("tags") or ())]
    if not tagged:
        _say(f'no cell has the tag "{_TAG}": the notebook runs without the variables')
        return {}
    names = _assigned("".join(tagged[0].get("source", "")))
    return {name: value for name, value in variables.items() if name in names and name != FLOW}


def _assigned(source: str) -> set[str]:
    """Names that a cell assigns at its top."""
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError):
        _say(
            f'the cell with the tag "{_TAG}" is no Python: the notebook runs without the variables'
        )
        return set()
    targets: list[ast.expr] = []
    for statement in statements:
        if isinstance(statement, ast.Assign):
            targets += statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets.append(statement.target)
    return {node.id for each in targets for node in ast.walk(each) if isinstance(node, ast.Name)}


def _said(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last JSON object that was printed, or is the result of the last cell; empty for none."""
    found: dict[str, Any] = {}
    of_code = [cell for cell in cells if cell["cell_type"] == "code" and cell["source"].strip()]
    for cell in of_code:
        printed = "".join(
            each["text"]
            for each in cell["outputs"]
            if each["output_type"] == "stream" and each["name"] == "stdout"
        )
        found = _last_object(printed) or found
    results = [
        each["data"]
        for each in (of_code[-1]["outputs"] if of_code else ())
        if each["output_type"] == "execute_result"
    ]
    return _result(results[-1]) or found if results else found


def _last_object(printed: str) -> dict[str, Any] | None:
    """The whole text, or its last line that is a JSON object."""
    for text in (printed, *reversed(printed.splitlines())):
        if text.lstrip().startswith("{"):
            try:
                found = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                return found
    return None


def _result(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """A dict that a cell has ended with: as its text says it, or the JSON that it displays as."""
    found = data.get("application/json")
    if found is None:
        try:
            found = ast.literal_eval(data.get("text/plain", ""))
            json.dumps(found)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return None
    if isinstance(found, str):
        return _last_object(found)
    return found if isinstance(found, dict) else None


def _tell(error: Any, notebook: Path) -> None:
    """What a cell has failed of, as Python shows it: whoever reads it looks for that."""
    body = strip_controls("\n".join(error.traceback), keep="\n\t").rstrip()
    head = f"Traceback (most recent call last):\n  {notebook.name}, cell {error.exec_count}:"
    last = f"{error.ename}: {one_line(error.evalue, 500)}" if error.evalue else error.ename
    sys.stderr.write(f"{head}\n{body}\n{last}\n")


def _say(text: str) -> None:
    sys.stderr.write(f"flow: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
