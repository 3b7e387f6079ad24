"""What the scripts of this workflow share."""

import json
import sys


def variables():
    """What this step is given."""
    with open(sys.argv[sys.argv.index("--variables-file") + 1], encoding="utf-8") as file:
        return json.load(file)


def answer(**output):
    """What this step gives."""
    print(json.dumps(output))
