"""A checkpoint is named as it stands, whatever IPython would make of its name."""

import pytest

from tests.checkpoint_kernels import ran
from tests.kernels import Kernel
from tests.promises import promise

_STRANGE = ("{seen.append(1)}", "a {seen.append(1) or 'b'} c", "$seen", "{seen!r:>20}", "{")


@pytest.fixture(scope="module")
def named(flow: Kernel) -> Kernel:
    """A kernel that has a checkpoint of each strange name."""
    flow.run("import flow_kernel; session = flow_kernel.current_session(); seen = []; n = 1")
    for name in _STRANGE:
        flow.run(f"session.checkpoint({name!r}, wait=True); n += 1")
    return flow


@promise("checkpoint.foreign", "checkpoint.named")
@pytest.mark.parametrize("name", _STRANGE)
def test_a_name_that_is_there_as_typed_is_that_checkpoint_and_nothing_is_evaluated(
    named: Kernel, name: str
) -> None:
    word = f'"{name}"' if " " in name else name
    back = ran(named, f"back = %rollback {word} --dry-run\nprint(back.rollback.target.name, seen)")
    shown = ran(named, f"one = %checkpoint show {word}\nprint(one.checkpoint.name, seen)")
    ran(named, f"%checkpoint verify {word}", f"%checkpoint diff {word} -1", "_ = 1")

    assert back == shown == f"{name} []\n"
    assert ran(named, "print(seen)") == "[]\n"


@promise("checkpoint.named")
def test_variables_in_the_line_are_put_in_place_where_no_checkpoint_is_named_so(
    named: Kernel,
) -> None:
    ran(named, "plain = 'of a variable'\n%checkpoint {plain} --wait")
    lines = (
        'b = %rollback "$plain" --dry-run\nprint(b.rollback.target.name)',
        "b = %rollback {plain!r} --dry-run\nprint(b.rollback.target.name)",
        'def inner(local):\n    b = %rollback "{local}" --dry-run\n    return b.rollback.target\n'
        "print(inner(plain).name)",
    )
    told = [ran(named, line) for line in lines]
    missing = named.run('%rollback "{1/0} {seen.append(1)}"')

    assert told == ["of a variable\n"] * 3
    assert "no checkpoint" in missing.reply["evalue"]


@promise("checkpoint.foreign")
def test_a_line_that_a_program_hands_on_is_not_evaluated(named: Kernel) -> None:
    refused = named.run("get_ipython().find_line_magic('rollback')('{seen.append(2)}')")

    assert "no checkpoint" in refused.reply["evalue"]
    assert ran(named, "print(seen)") == "[]\n"
