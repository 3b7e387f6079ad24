"""What a library registers for a class does not keep checkpoints from knowing it."""

import copyreg

import pytest

from tests.session.saved_values import saved_and_loaded


def rebuilt(kind: type, attributes: dict[str, object], cause: object, args: tuple[object, ...]):  # type: ignore[no-untyped-def]  # as tblib does it
    made = kind.__new__(kind, *args)
    made.__dict__.update(attributes)
    made.__cause__ = cause
    return made


def registered(error: BaseException) -> tuple[object, ...]:
    args = (
        (error.message, error.exceptions) if isinstance(error, BaseExceptionGroup) else error.args
    )
    return rebuilt, (type(error), error.__dict__, error.__cause__, args)


def test_exceptions_come_back_whole_though_a_library_pickles_them_its_own_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As tblib does, which comes with Dask: for all exceptions there are."""
    kinds = (ExceptionGroup, ValueError, KeyError, FileNotFoundError)
    monkeypatch.setattr(
        copyreg, "dispatch_table", {**copyreg.dispatch_table, **dict.fromkeys(kinds, registered)}
    )
    first = ValueError("no")
    first.add_note("noted")
    first.__cause__ = KeyError("why")
    before = {
        "group": ExceptionGroup("several", [first, FileNotFoundError(2, "none", "file")]),
        "plain": KeyError("k"),
    }

    after, _ = saved_and_loaded(before)

    group = after["group"]
    assert (type(group), group.message) == (ExceptionGroup, "several")
    assert [repr(each) for each in group.exceptions] == [
        "ValueError('no')",
        "FileNotFoundError(2, 'none')",
    ]
    assert repr(group.exceptions[0].__cause__) == "KeyError('why')"
    assert group.exceptions[0].__notes__ == ["noted"]
    assert group.exceptions[1].filename == "file"
    assert repr(after["plain"]) == "KeyError('k')"
