"""The pages of `docs` that describe events and records, made from their schemas.

Called by `test_schemas.py`, which compares; run by hand after a schema has changed:

    python -m tests.pages
"""

import json
from pathlib import Path
from typing import Any, Final

from tests.source import ROOT

SCHEMAS: Final = ROOT / "flow_kernel" / "records" / "schemas"
PAGES: Final[dict[str, tuple[str, str]]] = {
    "events": (
        "Events",
        "A line `MCP::<name> {json}` on stdout, at most 300 bytes; "
        "`flow_kernel.events.read` checks and reads it.",
    ),
    "records": (
        "Records",
        "One JSON object a line in `.flow/log/<plan>/<task>.jsonl`. `kind` says which.",
    ),
}
_TITLES: Final = {"date-time": "time"}


def schemas(folder: str) -> dict[str, dict[str, Any]]:
    """All schemas of events or of records, by name."""
    files = sorted((SCHEMAS / folder).glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


def page(folder: str) -> str:
    """The page in Markdown."""
    title, about = PAGES[folder]
    found = schemas(folder)
    shared = set.intersection(*(set(schema["properties"]) for schema in found.values()))
    first = next(iter(found.values()))
    lines = [f"# {title}", "", about, "", *_table(first, shared, takes_shared=True)]
    for name, schema in found.items():
        lines += ["", f"## {name}", "", schema["description"], ""]
        lines += _table(schema, shared, takes_shared=False)
    return "\n".join(lines) + "\n"


def _table(schema: dict[str, Any], shared: set[str], *, takes_shared: bool) -> list[str]:
    rows = [
        f"| `{name}` | {_type(field)} | {_always(name, schema)} | {field['description']} |"
        for name, field in schema["properties"].items()
        if (name in shared) is takes_shared
    ]
    return ["| field | type | | meaning |", "|---|---|---|---|", *rows] if rows else []


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join("null" if value is None else f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    kind = field.get("type", "any")
    kinds = [kind] if isinstance(kind, str) else kind
    form = _TITLES.get(field.get("format", ""), "string")
    return " or ".join(form if kind == "string" else kind for kind in kinds)


def _always(name: str, schema: dict[str, Any]) -> str:
    return "" if name in schema["required"] else "optional"


if __name__ == "__main__":
    for folder in PAGES:
        Path(ROOT / "docs" / f"{folder}.md").write_text(page(folder), encoding="utf-8")
