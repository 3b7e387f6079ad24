"""What is kept of the benchmarks: `results/*.json`, and the page that is made of them.

Called by `run.py`, `peers.py`, `checkpoints.py`, `pools.py` and `workflows.py`, after a run.

A quick run is not kept, its figures mean nothing, unless a folder is given. The page lies beside
the folder; `profiles.md` in the folder is written by hand and becomes the end of the page.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import results_page
from documents import PROGRAMS, Document, OldDocumentError, checked, merged

FOLDER: Final = Path(__file__).parent / "results"
PAGE: Final = "RESULTS.md"
_PROFILES: Final = "profiles.md"


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--results`, for a program whose runs are kept."""
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help=f"keep the results there and write {PAGE} beside it; "
        "default: results/ of the benchmarks, and nothing is kept of a quick run",
    )


def guarded(main: Callable[[], int]) -> int:
    """Runs a program; what is kept in an older format is refused in one sentence."""
    try:
        return main()
    except OldDocumentError as error:
        print(error, file=sys.stderr)
        return 2


def load(folder: Path | None) -> dict[str, Document]:
    """The documents that are kept, by the name of their table.

    A program calls it before it measures anything: what is refused would be refused hours later.

    Args:
        folder: As the user has given it; None for the usual one.

    Raises:
        OldDocumentError: One is of a format that is not read any more.
    """
    folder = folder or FOLDER
    found = {}
    for table in PROGRAMS:
        path = folder / f"{table}.json"
        if path.exists():
            found[table] = checked(json.loads(path.read_text(encoding="utf-8")), path.name)
    return found


def keep(document: Document, folder: Path | None) -> None:
    """Adds a run to what is kept, and writes the page anew.

    Args:
        document: Of the run.
        folder: As the user has given it; None for the usual one.

    Raises:
        OldDocumentError: What is kept is of a format that is not read any more.
    """
    if folder is None and document["quick"]:
        return
    folder = folder or FOLDER
    found = load(folder)
    table = document["table"]
    found[table] = merged(found.get(table), document)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{table}.json", json.dumps(found[table], indent=1) + "\n")
    write_page(folder)


def write_page(folder: Path | None) -> Path:
    """Writes the page from what is kept. Returns where it is.

    Raises:
        OldDocumentError: What is kept is of a format that is not read any more.
    """
    folder = folder or FOLDER
    documents = load(folder)
    profiles = folder / _PROFILES
    text = profiles.read_text(encoding="utf-8") if profiles.exists() else ""
    page = folder.parent / PAGE
    _write(page, results_page.render(documents, profiles=text))
    return page


def _write(path: Path, text: str) -> None:
    """A reader, or a kill, never finds half of it."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
