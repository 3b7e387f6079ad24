"""Runs workflows in forks of itself, so that a runner costs no import: begun, killed, gone on with.

Started by `test_kills`; takes a line of JSON and answers with one.

    {"op": "run", "home": …, "document": …, "executor": …}   the pid of a process that runs it
    {"op": "resume", "home": …}                              the same, for all that can go on
    {"op": "wait", "pid": …}                                 its exit status
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from flow_kernel.workflow import spec
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.service import Service


def main() -> None:
    for line in sys.stdin:
        said = json.loads(line)
        if said["op"] == "wait":
            _, status = os.waitpid(said["pid"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                os._exit(work(said))
        print(json.dumps(answer), flush=True)


def work(said: dict[str, Any]) -> int:
    directory = Path(said["home"])
    home = Home(directory / ".flow")
    home.ensure()
    flow = flow_of(home)
    service = Service(flow)
    if said["op"] == "run":
        found = spec.parse(said["document"], directory=directory)
        rows = [service.begin(found, options=RunOptions(executor=said["executor"]))]
    else:
        rows = [service.book.claim(row.run_id) for row in service.book.unfinished()]
    good = all(service.run(row).success for row in rows)
    flow.close()
    return 0 if good else 1


if __name__ == "__main__":
    main()
