"""Programs for kernels, kept as text so that they read as people write cells (pure).

Called by the flow tests. A file in `tests/flows/programs` holds several; `#### name` begins a
program and `# %%` the next cell of it.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent / "flows" / "programs"


def programs(name: str) -> dict[str, list[str]]:
    """The programs of one file: each a list of cells under its name."""
    text = (_FOLDER / f"{name}.ipy").read_text(encoding="utf-8")
    found = {}
    for part in f"\n{text}".split("\n#### ")[1:]:
        title, _, body = part.partition("\n")
        found[title] = [cell.strip("\n") for cell in f"\n{body}\n".split("\n# %%\n")]
    return found
