"""The display hook of ipykernel is as ours relies on it; `test_subshells.py` shows why."""

from ipykernel.displayhook import ZMQShellDisplayHook

from flow_kernel.shell.overrides.result_hook import ResultHook, is_usable, result_hook


def test_the_hook_of_ipykernel_is_as_expected() -> None:
    assert is_usable()
    assert result_hook() is ResultHook


def test_our_hook_has_the_names_of_that_of_ipykernel() -> None:
    assert ResultHook.__name__ == ZMQShellDisplayHook.__name__
    assert ResultHook.__module__ == ZMQShellDisplayHook.__module__
