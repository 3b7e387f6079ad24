"""A package that is installed as far as anybody can see: its metadata lies on the path.

Used by tests of what other packages can offer.
"""

from pathlib import Path


def offer(folder: Path, *, group: str, name: str, value: str) -> None:
    """Write the metadata of a package with one entry point.

    Args:
        folder: On the path.
        group: Of the entry point.
        name: Its name.
        value: What it leads to: `module:object`.
    """
    info = folder / f"{name}_package-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {name}-package\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n", "utf-8")
