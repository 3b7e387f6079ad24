"""The counts of `tally`, made by DuckDB.

Called by `stats` where the extra `stats` is installed.

DuckDB cannot see a checksum. So the lines are checked first, on all processors; DuckDB reads the
files that are whole, and those with damage are counted line by line.
"""

import zlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps.shares import Share, blocks, spread
from flow_kernel.apps.tally import SLOWEST, SlowCell, Tally, first_line, tally
from flow_kernel.errors import MissingExtra

_TAIL: Final = len(b',"crc":"01234567"}')
_GLOB: Final = frozenset("*?[]{}")
_LEAST_OBJECT_BYTES: Final = 1 << 20
_CELLS: Final = """
    CREATE TEMP TABLE cells AS
    SELECT coalesce(plan_id, '') AS plan_id, coalesce(task_id, '') AS task_id,
           coalesce(timestamp, '')[:15] AS moment, coalesce(seq, 0) AS seq,
           coalesce(code, '') AS code, coalesce(error->>'ename', '') AS ename,
           success IS NOT DISTINCT FROM false AS failed,
           coalesce(floor(elapsed_ms * 1000 + 0.5), 0)::BIGINT AS us
    FROM read_ndjson($files, ignore_errors = true, maximum_object_size = $longest, columns = {
        kind: 'VARCHAR', plan_id: 'VARCHAR', task_id: 'VARCHAR', timestamp: 'VARCHAR',
        seq: 'BIGINT', success: 'BOOLEAN', elapsed_ms: 'DOUBLE', code: 'VARCHAR', error: 'JSON'
    })
    WHERE kind = 'cell'
"""
_GROUPS: Final = """
    SELECT plan_id, task_id, moment, count(*), count(*) FILTER (failed), sum(us)::BIGINT
    FROM cells GROUP BY ALL
"""
_FAILING: Final = "SELECT ename, code, count(*) FROM cells WHERE failed GROUP BY ALL"
_SLOWEST: Final = """
    SELECT us, plan_id, task_id, seq, code FROM cells ORDER BY us DESC LIMIT $count
"""


def is_installed() -> bool:
    """True when DuckDB can be imported."""
    return find_spec("duckdb") is not None


def tally_duckdb(paths: Sequence[Path]) -> Tally:
    """Count the cells of `paths`; the same counts as `tally`.

    Raises:
        MissingExtra: DuckDB is not installed.
        OSError: A file cannot be read.
    """
    try:
        import duckdb  # 20 MB that only this engine needs
    except ImportError as error:
        raise MissingExtra("DuckDB", extra="stats") from error

    damaged: dict[str, int] = {}
    longest = _LEAST_OBJECT_BYTES
    for counts, longest_here in spread(check, paths):
        damaged.update({path: damaged.get(path, 0) + count for path, count in counts})
        longest = max(longest, longest_here)
    # DuckDB takes a name with these characters for a pattern.
    odd = [path for path in paths if str(path) in damaged or _GLOB & set(str(path))]
    total = tally(odd) if odd else Tally()
    whole = [str(path) for path in paths if path not in set(odd) and path.stat().st_size]
    if whole:
        with duckdb.connect() as connection:
            # It would draw on stdout, between the lines of the answer.
            connection.execute("SET enable_progress_bar = false")
            total.add(_query(connection, {"files": whole, "longest": longest}))
    return total


def check(shares: Sequence[Share]) -> list[Any]:
    """The work of one process: damaged lines by file, and the bytes of the longest line."""
    crc32 = zlib.crc32
    damaged: dict[str, int] = {}
    longest = 0
    for share in shares:
        bad = 0
        for _, block, size in blocks(share):
            find, view, start = block.find, memoryview(block), 0
            while (end := find(b"\n", start, size)) >= 0:
                if block[end - _TAIL : end] != b',"crc":"%08x"}' % crc32(view[start : end - _TAIL]):
                    bad += end > start
                longest = max(longest, end - start)
                start = end + 1
            view.release()
        if bad:
            damaged[share.path] = bad
    return [list(damaged.items()), longest]


def _query(connection: Any, values: dict[str, object]) -> Tally:
    counted = Tally()
    connection.execute(_CELLS, values)
    for plan, task, moment, *counts in connection.execute(_GROUPS).fetchall():
        counted.add_group((plan, task, moment), counts)
    for error, code, times in connection.execute(_FAILING).fetchall():
        counted.add_failure(error, code, times)
    for elapsed_us, plan, task, seq, code in connection.execute(
        _SLOWEST, {"count": SLOWEST}
    ).fetchall():
        cell = SlowCell(
            elapsed_us=elapsed_us, plan_id=plan, task_id=task, seq=seq, code=first_line(code)
        )
        counted.slowest.append(cell)
    return counted
