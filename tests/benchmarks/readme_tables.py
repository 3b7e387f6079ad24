"""The tables of README: what stands between its markers, from the documents that are kept (pure).

Called by `run.py`.
"""

import re
from collections.abc import Mapping
from typing import Final

import checkpoint_table
import pool_table
import table
import workflow_table
from documents import Document

_ISOLATED: Final = frozenset(["isolated", "relay", "transfer", "watchdog", "background"])
_MODULES: Final = {
    "checkpoints": checkpoint_table,
    "pools": pool_table,
    "workflows": workflow_table,
}


def markdown(document: Document) -> str:
    """The table of one document between its markers."""
    return _MODULES.get(document["table"], table).markdown(document)


def replaced(text: str, documents: Mapping[str, Document]) -> str:
    """README with the tables of these documents; what has none stays as it is."""
    found = dict(documents)
    if "benchmarks" in found:
        found["isolated"] = _part(found["benchmarks"], "isolated", is_isolated=True)
        found["benchmarks"] = _part(found["benchmarks"], "benchmarks", is_isolated=False)
    for name, document in found.items():
        if document["results"] or document.get("engines"):
            block = re.compile(f"<!-- {name}: start -->.*?<!-- {name}: end -->", re.DOTALL)
            new = markdown(document)
            text = block.sub(lambda _, new=new: new, text)
    return text


def _part(document: Document, name: str, *, is_isolated: bool) -> Document:
    """The rows of isolated cells stand with what README says of them, the others at its end."""
    rows = [row for row in document["results"] if (row["family"] in _ISOLATED) is is_isolated]
    failed = {name: why for name, why in document["failed"].items() if not is_isolated}
    return {**document, "table": name, "results": rows, "failed": failed}
