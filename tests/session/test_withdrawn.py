"""Which cells begin, when others give them up from another thread."""

import threading

from flow_kernel.session.withdrawn import MOST_WAITING, Withdrawn
from tests.promises import promise


@promise("control.obeyed")
def test_a_cell_is_either_given_up_or_begins_whatever_the_moment() -> None:
    withdrawn = Withdrawn()
    ids = [str(number) for number in range(20_000)]
    gate = threading.Barrier(2)
    given_up: list[bool] = []

    def give_up() -> None:
        gate.wait()
        given_up.extend(withdrawn.withdraw(each) for each in ids)

    thread = threading.Thread(target=give_up)
    thread.start()
    gate.wait()
    begun = [withdrawn.begin(each) for each in ids]
    thread.join()

    # Those that nobody remembers any more have begun, or wait to be refused.
    both = [each for each in range(len(ids)) if begun[each] is given_up[each]]
    assert all(begun[each] and given_up[each] for each in both)
    assert all(each < len(ids) - 1000 for each in both)


@promise("control.bounded")
def test_more_cells_than_are_remembered_are_not_given_up() -> None:
    withdrawn = Withdrawn()
    for number in range(MOST_WAITING):
        assert withdrawn.withdraw(str(number))

    assert withdrawn.withdraw("one more") is False
    assert withdrawn.begin("one more") is True
    assert withdrawn.begin("7") is False
    assert withdrawn.withdraw("one more") is False
