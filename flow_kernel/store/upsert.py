"""An insert that replaces what is there, as a statement (pure).

Used by the modules that hold the statements of the SQLite store.
"""

from collections.abc import Sequence


def upsert(table: str, names: Sequence[str], key: Sequence[str]) -> str:
    """An upsert of all columns: part of standard PostgreSQL, too.

    Args:
        table: Where.
        names: All columns, in the order of the values.
        key: Those that say which row it is.
    """
    marks = ", ".join("?" * len(names))
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - our own names
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )
