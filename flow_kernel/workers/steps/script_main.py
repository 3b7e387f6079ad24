"""Runs source as `python script.py` would: one `__main__`, one end of the interpreter.

Called by `child` in a forked process; it is also a program, started by `orders`, where a step gets
an interpreter of its own.

It imports nothing that an interpreter has not loaded when it begins: a module that it loads, a
script that has one of that name beside it would no longer find. So it has no `typing` either.

Source: CPython `pymain_run_python`, `handle_system_exit`, `Py_FinalizeEx`, `finalize_modules`.
"""

import _signal  # type: ignore[import-not-found] # `signal` is not loaded in a fresh interpreter
import atexit
import gc
import marshal
import os
import sys
from _frozen_importlib_external import SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType, TracebackType

_INTERRUPTED = -_signal.SIGINT
_CANNOT_FLUSH = 120
_SHOWN_LAST = ("last_exc", "last_type", "last_value", "last_traceback")


def run(
    source: str, *, filename: str, argv: list[str], path: list[str], code: "CodeType | None" = None
) -> None:
    """Be that script; does not return.

    Args:
        source: Its text.
        filename: Its `__file__`.
        argv: Its `sys.argv`.
        path: Its `sys.path`.
        code: The compiled source, where somebody has it.
    """
    sys.argv[:] = argv
    sys.orig_argv[:] = [sys.executable, *argv]
    sys.path[:] = path
    sys.modules["__main__"] = _main_module(filename)
    if "__mp_main__" in sys.modules:  # multiprocessing was imported ahead
        sys.modules["__mp_main__"] = sys.modules["__main__"]
    last = next(reversed(sys.modules))  # all names would be looked at for a copy
    linecache = sys.modules.get("linecache")
    if linecache is not None:  # used where there is no such file
        linecache.cache[filename] = (lambda: source,)
    status = _status_of(source, filename, code)
    status = _end(status, last)
    if status == _INTERRUPTED:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        os.kill(os.getpid(), _signal.SIGINT)
    os._exit(status & 0xFF)


def _main_module(filename: str) -> "ModuleType":
    module = type(sys)("__main__")
    names = vars(module)
    names["__loader__"] = SourceFileLoader("__main__", filename)
    names["__builtins__"] = sys.modules["builtins"]
    names["__annotations__"] = {}
    names["__file__"] = filename
    names["__cached__"] = None
    return module


def _status_of(source: str, filename: str, code: "CodeType | None") -> int:
    failure: BaseException | None = None
    try:
        # The names are held by nobody here: what they hold ends with the module.
        exec(  # noqa: S102 - that is what a script is run for
            code or compile(source, filename, "exec", dont_inherit=True),
            vars(sys.modules["__main__"]),
        )
    except BaseException as error:  # noqa: BLE001 - the end of a process: it is shown
        failure = error
    # Outside: what is raised while it is shown has no context.
    if failure is None:
        return 0
    if isinstance(failure, SystemExit):
        return _status_of_exit(failure)
    again = _show(failure, filename, source)
    if again is not None:
        return _status_of_exit(again)
    return _INTERRUPTED if isinstance(failure, KeyboardInterrupt) else 1


def _status_of_exit(error: SystemExit) -> int:
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -(2**63) <= code < 2**63 else 0xFF
    _say(f"{code}\n")
    return 1


def _show_from_memory(error: BaseException, filename: str, source: str) -> None:
    """The interpreter itself takes lines from files only."""
    import linecache  # the interpreter has not loaded them when a script begins
    import traceback

    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    _flush(sys.stdout)
    traceback.print_exception(error)


def _show(error: BaseException, filename: str, source: str) -> SystemExit | None:
    """Show what ended the script.

    Returns:
        What the hook has raised, if that is an exit.
    """
    trace = error.__traceback__
    if trace is not None:
        trace = trace.tb_next  # the first frame is ours
    error = error.with_traceback(trace)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    failure: BaseException | None = None
    try:
        if sys.excepthook is sys.__excepthook__ and not _is_there(filename):
            _show_from_memory(error, filename, source)
        else:
            sys.excepthook(type(error), error, trace)
    except SystemExit as again:
        return again
    except BaseException as other:  # noqa: BLE001 - as the interpreter: both are shown
        failure = other
    if failure is not None:
        _say("Error in sys.excepthook:\n")
        trace_of_failure = failure.__traceback__
        _shown(failure, None if trace_of_failure is None else trace_of_failure.tb_next)
        _say("\nOriginal exception was:\n")
        _shown(error, trace)
    return None


def _is_there(filename: str) -> bool:
    return os.path.exists(filename)  # noqa: PTH110 - lean


def _shown(error: BaseException, trace: "TracebackType | None") -> None:
    sys.__excepthook__(type(error), error.with_traceback(trace), trace)


def _end(status: int, last: str) -> int:
    """What an interpreter does at its end, as far as anybody can tell."""
    threading = sys.modules.get("threading")
    if threading is not None:
        try:
            threading._shutdown()
        except KeyboardInterrupt:
            status = _INTERRUPTED
        except BaseException as error:  # noqa: BLE001 - as the interpreter: shown, and it goes on
            sys.__excepthook__(type(error), error, error.__traceback__)
    atexit._run_exitfuncs()
    is_flushed = _flush(sys.stdout) & _flush(sys.stderr)
    _let_go(last)
    is_flushed &= _flush(sys.stdout) & _flush(sys.stderr)
    return status if is_flushed else _CANNOT_FLUSH


def _let_go(last: str) -> None:
    """End what the script holds: a file that it has not closed is written to the disk now.

    Args:
        last: The module that was loaded last before the script began.
    """
    for name in _SHOWN_LAST:
        vars(sys).pop(name, None)
    # Puts what holds before what is held: a text that a file has not written is written first.
    gc.collect()
    for name in ("__main__", "__mp_main__"):
        sys.modules.pop(name, None)
    while last in sys.modules and (name := next(reversed(sys.modules))) != last:
        del sys.modules[name]
    gc.collect()


def _flush(stream: object) -> bool:
    if stream is None or getattr(stream, "closed", False):
        return True
    try:
        stream.flush()  # type: ignore[attr-defined] # whatever the script has put there
    except BaseException as error:  # noqa: BLE001 - as the interpreter: told, and an exit code
        if stream is not sys.stderr:
            _say(f"Exception ignored in: {stream!r}\n{type(error).__name__}: {error}\n")
            return False
    return True


def _say(text: str) -> None:
    _flush(sys.stdout)
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - nobody is left to tell
        return


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as _file:  # noqa: PTH123 - lean
        _source, _filename, _argv, _path = marshal.loads(_file.read())  # noqa: S302 - our own order
    if not sys.argv[1].startswith("/proc/"):
        os.unlink(sys.argv[1])  # noqa: PTH108 - lean
    else:
        os.close(int(sys.argv[1].rpartition("/")[2]))
    run(_source, filename=_filename, argv=_argv, path=_path)
