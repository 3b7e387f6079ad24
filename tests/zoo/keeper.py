"""Builds values of the zoo, saves them, and loads them in another process.

Run by `test_zoo`, with the Python of the environment that has the libraries:

    python keeper.py save FOLDER EACH SECTION…      makes, saves, writes what it saw
    python keeper.py load FOLDER EACH SECTION…      loads, compares, prints JSON lines

EACH is 1 for all lines of the sections, 4 for every fourth.
"""

import json
import pickle
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
BOOKS: Final = ("animals.txt", "animals_more.txt")


@dataclass(frozen=True)
class Animal:
    """A line of the zoo's books."""

    library: str
    prelude: str
    name: str
    make: str
    look: str
    refusal: str | None


def animals(books: tuple[str, ...] = BOOKS) -> Iterator[Animal]:
    """All of them."""
    library, prelude = "", ""
    for book in books:
        for line in (HERE / book).read_text("utf-8").splitlines():
            if line.startswith("["):
                library, _, prelude = line[1:].partition("] ")
            elif line and not line.startswith("#"):
                name, make, look, *rest = (part.strip() for part in line.split(" | "))
                yield Animal(library, prelude, name, make, look, rest[0] if rest else None)


def namespace(animal: Animal) -> dict[str, Any]:
    """Of a notebook that has run what the animal needs."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    exec(animal.prelude, vars(module))
    return vars(module)


def seen(animal: Animal, around: dict[str, Any]) -> str:
    return repr(eval(animal.look, around))


def save(chosen: list[Animal]) -> list[dict[str, Any]]:
    from flow_kernel.session.checkpoints.anchors import anchors_of
    from flow_kernel.session.checkpoints.saving import save as save_values

    kept: list[dict[str, Any]] = []
    for animal in chosen:
        around = namespace(animal)
        try:
            value = around["v"] = eval(animal.make, around)
        except Exception as error:  # noqa: BLE001 - a library may raise anything
            kept.append({"broken": f"{type(error).__name__}: {error}"[:200]})
            continue
        anchors = anchors_of(around, {})
        saved = save_values({"v": value}, anchors)
        if saved.not_saved:
            kept.append({"refused": saved.not_saved[0].reason})
            continue
        [group] = saved.groups
        entry = {"stream": group.stream, "buffers": [bytes(one) for one in group.buffers]}
        try:
            entry |= {"seen": seen(animal, around), "anchors": anchors.names()}
        except Exception as error:  # noqa: BLE001 - as above
            entry = {"broken": f"{type(error).__name__}: {error}"[:200]}
        kept.append(entry)
    return kept


def load(chosen: list[Animal], kept: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    from flow_kernel.session.checkpoints.anchors import anchors_of
    from flow_kernel.session.checkpoints.loading import load as load_values

    for animal, entry in zip(chosen, kept, strict=True):
        told = {"name": f"{animal.library} {animal.name}", "expected": animal.refusal or ""}
        if "broken" in entry:
            yield told | {"end": "broken", "text": entry["broken"]}
        elif "refused" in entry:
            yield told | {"end": "refused", "text": entry["refused"]}
        else:
            around = namespace(animal)
            try:
                anchors = anchors_of(around, {})
                [around["v"]] = load_values(
                    entry["stream"], entry["buffers"], anchors, entry["anchors"]
                )
                after = seen(animal, around)
            except Exception as error:  # noqa: BLE001 - as above
                yield told | {"end": "lost", "text": f"{type(error).__name__}: {error}"[:300]}
                continue
            same = after == entry["seen"]
            text = "" if same else f"{entry['seen'][:300]} became {after[:300]}"
            yield told | {"end": "equal" if same else "different", "text": text}


def main(verb: str, folder: str, each: str, *sections: str) -> None:
    warnings.simplefilter("ignore")
    print_line = sys.stdout.write
    chosen = [one for one in animals() if one.library in sections][:: int(each)]
    path = Path(folder, "kept.pickle")
    ours = sys.modules["__main__"]
    if verb == "save":
        kept = save(chosen)
        sys.modules["__main__"] = ours
        path.write_bytes(pickle.dumps(kept))
        return
    for told in load(chosen, pickle.loads(path.read_bytes())):
        print_line(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
