"""Follows the cells of a session between two saves: which variables have to be saved again.

Called by `service`.

    save ── everything is known of each name ──▶ cell ▶ cell ▶ cell ──▶ `to_save` ──▶ save

Once a cell may have changed everything, the next ones need no judgement until the next save.
"""

from collections.abc import Iterable
from types import CodeType

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.checkpoints.reach import judge
from flow_kernel.session.checkpoints.reach_code import read
from flow_kernel.session.checkpoints.reach_facts import SaveFacts
from flow_kernel.session.checkpoints.reach_look import NOTHING, CellLook, Known, Reach, World
from flow_kernel.session.checkpoints.reach_types import Types, known_types, loaded
from flow_kernel.session.checkpoints.reach_walk import Status

globals()["__builtins__"] = FROZEN_BUILTINS


class ReachTracker:
    """What the cells since the last save may have changed."""

    def __init__(self) -> None:
        self._tame: set[str] = set()
        self._plain: set[str] = set()
        self._wild: set[str] = set()
        self._settled: set[str] = set()
        self._is_held = True
        self._peers: dict[str, tuple[str, ...]] = {}
        self._forever: str | None = None
        self._doubt: str | None = None
        self._before: tuple[str, ...] = ()
        self._types: Types | None = None
        self._names: set[str] = set()
        self._touched: set[str] = set()
        self._names_before: set[str] = set()
        self._reach_before = NOTHING
        self._is_waiting = False
        self.reach: Reach = Reach(everything="nothing was saved yet")

    def types(self) -> Types:
        """What is known of the libraries that are loaded now; for `World`."""
        if self._types is None or self._types.made_with != loaded():
            self._types = known_types()
        return self._types

    def ran(self, look: CellLook, world: World) -> Reach:
        """Take in a cell that has ended.

        Args:
            look: The cell.
            world: What is around, now.

        Returns:
            What it may have changed.
        """
        # What ran at its beginning may have ended with it.
        doubts = (*self._before, *world.doubts, *([self._doubt] if self._doubt else []))
        self._before = world.doubts
        if self.reach.everything is not None:
            self._note_forever(look.codes)
            return self.reach
        around = World(
            namespace=world.namespace, hidden=world.hidden, types=world.types, doubts=doubts
        )
        known = Known(
            tame=self._tame,
            plain=self._plain,
            settled=self._settled,
            fresh=self._touched,
            is_held=self._is_held,
            forever=self._forever,
        )
        judged = judge(look, around, known, peers=self._touched)
        self._forever = self._forever or judged.forever
        self.reach |= judged.reach
        self._tame -= judged.unknown
        self._plain -= judged.unknown
        self._tame |= judged.tame
        self._plain |= judged.plain
        self._names |= judged.reach.names
        for name in judged.reach.names:
            self._touched.update(self._peers.get(name, (name,)))
        return judged.reach

    def missed(self, codes: Iterable[CodeType], why: str) -> None:
        """Take in a cell that could not be looked at when it ended."""
        self._note_forever(codes)
        self._before = (why,)
        self.reach |= Reach(everything=why)

    def _note_forever(self, codes: Iterable[CodeType]) -> None:
        for code in codes:
            self._forever = self._forever or read(code, is_module=True).forever

    def to_save(self) -> frozenset[str] | None:
        """Names to save again; None for all of them, or more. New and rebound ones come on top."""
        if self.reach.is_nothing:
            return frozenset()
        if self.reach.everything is not None or self._is_waiting:
            return None
        found = self._touched | self._wild
        for name in self._wild:
            found.update(self._peers.get(name, ()))
        return frozenset(found)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What else could run code when the last cell ended: threads and the like."""
        return self._before

    def is_tame(self, names: Iterable[str]) -> bool:
        """True when all of these are of known types, by what ran."""
        return self._tame.issuperset(names)

    def save_begins(self) -> None:
        """The variables are frozen as they are now; what it finds comes with `saved`."""
        self._reach_before = self.reach
        self._names_before = self._names
        self._is_waiting = True
        # Of what is saved now, it is not known yet.
        self._settled -= self._touched
        if self.reach.everything is not None:
            self._tame, self._plain, self._wild, self._peers = set(), set(), set(), {}
            self._settled = set()
            self._is_held = True
        self._begin(set(), NOTHING)

    def save_failed(self) -> None:
        """It came to nothing: what was to be saved still is."""
        self._is_waiting = False
        self._begin(self._names | self._names_before, self.reach | self._reach_before)

    def saved(self, facts: SaveFacts) -> None:
        """It is done.

        Args:
            facts: Of all variables as they were at its beginning, those that were not saved again
                included.
        """
        self._is_waiting = False
        self._doubt = facts.doubt
        self._peers = {name: names for names in facts.groups for name in names if len(names) > 1}
        tame = {name for name, status in facts.statuses.items() if status is Status.TAME}
        self._settled = tame - facts.loose - self._names
        since_tame, since_plain = self._tame & self._names, self._plain & self._names
        self._begin(self._names, self.reach)
        if self.reach.everything is not None:
            return
        by_status: dict[Status, set[str]] = {status: set() for status in Status}
        for name, status in facts.statuses.items():
            by_status[status].add(name)
        self._wild = by_status[Status.WILD]
        self._is_held = not facts.loose.isdisjoint(self._wild)
        self._tame = (by_status[Status.TAME] - self._touched) | since_tame
        self._plain = (by_status[Status.PLAIN] - self._touched) | since_plain

    def _begin(self, names: set[str], reach: Reach) -> None:
        self.reach = reach
        self._names = set(names)
        self._touched = set()
        for name in names:
            self._touched.update(self._peers.get(name, (name,)))
