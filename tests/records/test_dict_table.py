"""Pictures of a dict's entry table, against the dict itself."""

import sys
import threading

import pytest

from flow_kernel.records.capture import NamespaceWatch
from flow_kernel.records.dict_table import (
    DictTable,
    differing_entries,
    expected_picture,
    is_supported,
)

pytestmark = pytest.mark.skipif(
    not is_supported(), reason="this interpreter lays its dicts out in another way"
)


@pytest.mark.parametrize("size", [0, 1, 5, 6, 10, 11, 100, 5461, 5462, 100_000])
def test_a_picture_shows_every_identity(size: int) -> None:
    names: dict[str, object] = {f"n{i}": object() for i in range(size)}
    assert DictTable(names).picture() == expected_picture(names)


def test_the_globals_of_a_module_are_laid_out_alike() -> None:
    watch = NamespaceWatch(globals())
    taken = watch.capture()
    assert taken.picture == expected_picture(globals())
    assert taken.names == list(globals())


def test_the_names_follow_what_happens_between_cells() -> None:
    names: dict[str, object] = {f"n{i}": object() for i in range(100)}
    watch = NamespaceWatch(names)
    for step in range(300):
        if step % 3 == 0:
            names.pop(f"n{step % 100}", None)
        elif step % 3 == 1:
            names[f"fresh{step}"] = object()
        else:
            names[f"n{step % 7}"] = object()
        taken = watch.capture()
        assert taken.picture is not None
        kept = [name for name in taken.names[: len(taken.picture) // 16] if name is not None]
        assert kept == list(names)


def test_differences_are_found_one_by_one() -> None:
    names: dict[str, object] = {f"n{i}": object() for i in range(20_000)}
    table = DictTable(names)
    before = table.picture()
    changed = [0, 1, 63, 64, 4096, 19_999]
    fresh = [object() for _ in changed]
    for index, value in zip(changed, fresh, strict=True):
        names[f"n{index}"] = value
    after = table.picture()
    assert before is not None
    assert after is not None
    assert differing_entries(before, after) == changed


def test_a_dict_with_keys_that_are_no_text_has_no_picture() -> None:
    names: dict[object, object] = {"a": 1, 5: 2}
    assert DictTable(names).picture() is None  # type: ignore[arg-type]


def test_nothing_is_read_under_a_tracer() -> None:
    names: dict[str, object] = {"a": 1}
    table = DictTable(names)
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        assert table.picture() is None
    finally:
        sys.settrace(before)


def test_threads_that_resize_the_namespace_never_crash_the_reader() -> None:
    names: dict[str, object] = {f"n{i}": i for i in range(50)}
    watch = NamespaceWatch(names)
    stop = threading.Event()

    def churn(prefix: str) -> None:
        while not stop.is_set():
            for i in range(3000):
                names[f"{prefix}{i}"] = object()
            for i in range(3000):
                del names[f"{prefix}{i}"]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=churn, args=(p,)) for p in "ab"]
    try:
        for thread in threads:
            thread.start()
        for _ in range(500):
            before = watch.capture()
            found = watch.delta_since(before)
            assert all(not name.startswith("n") for name, _ in found.added)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
