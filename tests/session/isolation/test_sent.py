"""What a worker has been told already."""

from typing import Any

from flow_kernel.records.cell_changes import no_changes
from flow_kernel.session.isolation.sent import Sent
from flow_kernel.session.isolation.stillness import Stillness


class Told:
    """A session, and what one worker of it is told."""

    def __init__(self, code: str) -> None:
        self.still = Stillness(lambda: ())
        self.still.follow()
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.sent = Sent({})
        self.runs(code)

    def runs(self, code: str) -> None:
        compiled = compile(code, "<cell>", "exec")
        self.still.note(compiled)
        exec(compiled, self.namespace)

    def leaves(self, *names: str, is_named: bool = False) -> list[str]:
        self.sent.surroundings({"env": {}})
        found = self.sent.news(names, self.namespace, self.still, is_named=is_named)
        return [] if found is None else sorted(found.names)

    def arrives(self, *names: str, is_named: bool = False) -> list[str]:
        left = self.leaves(*names, is_named=is_named)
        self.sent.arrived()
        return left

    def worker_did(self, **changes: Any) -> None:
        self.sent.changed(no_changes()._replace(**changes), self.namespace, self.still)


def test_a_variable_is_sent_until_it_is_said_to_have_arrived() -> None:
    told = Told("x = [1]")
    assert told.leaves("x") == told.leaves("x") == ["x"]
    assert told.arrives("x") == ["x"]
    assert told.arrives("x") == []
    assert told.arrives("x", is_named=True) == ["x"]


def test_only_another_content_or_another_binding_is_news() -> None:
    told = Told("x = [1]; y = 0")
    told.arrives("x", "y")
    told.runs("print(end='')")
    assert told.arrives("x", "y") == []
    told.runs("x.append(2)")
    assert told.arrives("x", "y") == ["x"]
    told.runs("y = 0")
    assert told.arrives("x", "y") == ["y"]


def test_what_a_worker_made_of_a_name_is_its_own_and_what_it_removed_is_sent() -> None:
    told = Told("x = 1; y = [2]; z = 3")
    told.arrives("z")
    told.worker_did(added=["x"], mutated=["y"], removed=["z"])
    assert told.arrives("x", "y", "z") == ["z"]
    told.runs("y.append(2)")
    assert told.arrives("x", "y", "z") == ["y"]


def test_what_a_function_reads_is_judged_by_itself() -> None:
    told = Told("a = 1\ndef f(): return a + g()\ndef g(): return b\nb = [2]")
    assert told.arrives("f", is_named=True) == ["a", "b", "f", "g"]
    assert told.arrives("f", is_named=True) == ["f"]
    told.worker_did(removed=["b"])
    assert told.arrives("f") == ["b"]
    told.runs("def g(): return b + [1]")
    assert told.arrives("f") == ["g"]


def test_what_classes_may_read_goes_before_their_instances() -> None:
    told = Told("z = 3\nclass K:\n    def __hash__(self): return z\nd = {K(): 1}")
    found = told.sent.news(["d", "K", "z"], told.namespace, told.still, is_named=False)
    assert found is not None
    assert found.names == ("z", "K", "d")


def test_an_environment_that_may_not_have_arrived_is_told_again() -> None:
    sent = Sent({"A": "1", "B": "1"})
    assert sent.surroundings({"env": {"A": "2", "B": "1", "C": "1"}}) == {
        "env": {"A": "2", "C": "1"}
    }
    assert sent.surroundings({"env": {"A": "1", "B": "1"}}) == {"env": {"A": "1", "C": None}}
    sent.arrived()
    assert sent.surroundings({"env": {"A": "1", "B": "1"}}) == {}
