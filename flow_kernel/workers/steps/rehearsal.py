"""A script that does what most steps do, without an effect.

Used by `readying`, and by `host_process` in what it forks ahead.
"""

import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

_SOURCE = """
import argparse, json, os, sys
from pathlib import Path

def main():
    parser = argparse.ArgumentParser(description="a step")
    parser.add_argument("--variables-file", required=True)
    options = parser.parse_args(["--variables-file", os.devnull])
    with open(options.variables_file, encoding="utf-8") as file:
        file.read()
    variables = json.loads('{"n": 1, "f": 1.5, "s": "a", "l": [1, null, true], "d": {}}')
    values = sorted(f"{name}={value!r}" for name, value in variables.items())
    print(json.dumps({"values": values, "path": str(Path("a") / "b")}), file=said)
    return os.path.join("a", "b")

if __name__ == "__main__":
    try:
        main()
        raise ValueError("no error")
    except ValueError as error:
        str(error)
"""


class Rehearsal:
    """That script; the interpreter gets used to its code, which is compiled once."""

    def __init__(self) -> None:
        self._code: CodeType | None = None

    def play(self) -> None:
        """Run it."""
        self._code = self._code or compile(_SOURCE, "<rehearsal>", "exec")
        exec(self._code, {"__name__": "__main__", "said": io.StringIO()})  # noqa: S102 - our own code
