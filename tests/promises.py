"""The ledger of promises: each has a test, and each flow test holds one (pure).

Called by the tests in `tests/flows`, which name what they hold with `@promise(…)`, and by
`test_promises.py`, which reads both sides.
"""

from collections.abc import Callable
from typing import Final, TypeVar

_Test = TypeVar("_Test")

PROMISES: Final[dict[str, str]] = {
    # What a cell can see
    "transparent.objects": "Objects live and die in the same cell and order as in stock ipykernel.",
    "transparent.memory": "The recorder keeps no user value alive and adds no peak memory.",
    "transparent.output": "Text, results, displays and errors are those of stock ipykernel.",
    "output.complete": "Nothing shown is lost, doubled or out of the order that stock keeps.",
    "output.seen": "In JupyterLab output appears while the cell that prints it runs.",
    "output.ordered": "stdout and stderr are shown in the order of the program's own writes.",
    "transparent.session": "Magics, history and the names that libraries sniff are stock.",
    "transparent.process": "Hooks, signals, threads, paths and settings of the process are stock.",
    "transparent.sabotage": "Patched builtins, modules and limits harm no more than in stock.",
    "transparent.protocol": "Replies to every kind of request are those of stock ipykernel.",
    "transparent.subshells": "Subshells and comms work beside busy shells as in stock ipykernel.",
    "transparent.interrupt": "An interrupt stops whatever stock ipykernel stops.",
    "send.whole": "Messages arrive whole and in order, whoever sends them and whatever happens.",
    "history.kept": "Lines of the history are on disk within a second or two, and at each look.",
    "prints.kept": "What cells print is kept for exports as in stock, in bounds and in order.",
    "memory.cell": "A small cell leaves less behind than in stock; all is found as there.",
    "requests.reach": "Requests are run in order, none is lost, and a GUI can watch for them.",
    "children.end": "A child that a cell forks ends with the cell, says what it says, as a script.",
    "overrides.stock": "What is not as an override expects it is stock there, and doctor says so.",
    "debugger.deferred": "The debugger of ipykernel works, and is loaded when it is asked for.",
    "start.lean": "What a kernel does not need to start is loaded when it is used.",
    "start.forked": "A kernel that is forked by request is what a new interpreter would be.",
    # What a record holds
    "record.variables": "A record names what a cell added, changed, removed, mutated and read.",
    "record.output": "A record holds stdout, stderr, result, outputs and error of its own cell.",
    "record.identity": "A record says which cell, request, task and parent cell it belongs to.",
    "record.imports": "A record lists new modules, and the versions of the packages imported.",
    "record.acknowledged": "The reply carries the facts and the number of a record on disk.",
    "record.always": "No content of a cell costs its record.",
    "record.late": "Output after the end of a cell is recorded under the cell that made it.",
    "record.hidden": "Hidden requests are not cells; a burst of them leaves one record.",
    "record.actor": "All that a cell does, and the cells that it runs, are of whoever has sent it.",
    "record.off": "Recording can be switched off, and the log notes the gap.",
    "record.secrets": "No secret reaches the disk in any file.",
    "record.kept": "What cells display is kept when that is asked for, by checksum and in bounds.",
    "record.bounded": "Large output keeps head and tail, and the full size.",
    # What cannot break it
    "hostile.untouched": "The recorder runs no code of a user's class.",
    "hostile.recorded": "A cell with hostile objects has its record.",
    # What ends or silences stock ipykernel
    "faults.interrupts": "An interrupt ends a cell that awaits, at once and as KeyboardInterrupt.",
    "faults.replies": "A cell has its reply, also when an interrupt comes just before or after it.",
    "faults.exits": "No SystemExit of a hook or a task, and no stopped loop, ends a kernel.",
    "faults.streams": "A cell that breaks stdout or stderr has its reply, the next its output.",
    "faults.text": "Text that cannot be encoded arrives escaped, and nothing with it is lost.",
    "faults.names": "Names that IPython needs are back when a cell has lost them, said once.",
    "faults.patches": "What a cell patches in Python itself costs no more than the next cell.",
    "faults.start": "A kernel starts on a full disk and without IPython's files, and says so.",
    # Who can use it
    "clients.conformance": "The conformance suite of Jupyter passes as with stock ipykernel.",
    "clients.suites": "The suites of ipykernel and nbclient pass as with stock ipykernel.",
    "clients.notebooks": "JupyterLab, VS Code and nbclient get their replies, and leave records.",
    "clients.terminal": "jupyter console shows results and leaves records.",
    "extension.same": "The extension records the same in stock ipykernel and terminal IPython.",
    "extension.unload": "After %unload_ext nothing of the extension is left.",
    # The shape of work
    "task.recorded": "Cells of a task are in its own log, with its step and each change of state.",
    "task.steps": "Planned against done is visible at any time; a cell that raises fails its step.",
    "task.resumed": "A restarted kernel goes on with the open task; FLOW_TASK_ID names another.",
    "task.alike": "Magics, Python and the command line do and refuse the same.",
    "task.outside": "A task that ends in another process is left by its kernel, which says so.",
    "task.report": "A report tells plan, steps, cells, answers, failures and files of a task.",
    "task.outputs": "A report shows kept pictures and tables, and none of them can do anything.",
    "task.words": "A user's formatter words plans, progress and reports; its failure costs a line.",
    "task.hostile": "Any name can be given; a wrong verb, value or state is one sentence.",
    # Workflows in a notebook
    "workflow.seen": "A run is seen below its cell while it goes on, and with its outputs after.",
    "workflow.ends": "A run that fails, waits or is stopped ends its cell, and can go on later.",
    "workflow.resumed": "A run whose runner was killed goes on when a kernel starts on its home.",
    # Questions to a person
    "approval.parks": "Where nobody can type, a cell ends with a question and a rerun goes on.",
    "approval.anywhere": "A question is answered in its cell or elsewhere; the first one counts.",
    "approval.once": "An answer is used by one run of one cell, and by no other.",
    "approval.bound": "Changed code or words ask again; only an approved body runs.",
    "approval.stops": "A question whose answer nobody looks at ends the cell unless it is yes.",
    "approval.policy": "A risky cell runs only once it was approved; an unseen one is refused.",
    "approval.asked": "A line that asks is never taken for something else.",
    # Events for agents
    "events.told": "An agent that registered reads what happens, in order, on lines of their own.",
    "events.spoofed": "No text that a cell prints, by any route, is taken for an event.",
    "events.asked": "Events are off until they are asked for, which works while a cell runs.",
    # Questions from outside
    "control.answered": "A session tells its state, history and variables while a cell runs.",
    "control.obeyed": "Answers, interrupts and givings-up reach what they name, and nothing else.",
    "request.expects": "A cell whose client knows too little of the session does not run.",
    "control.bounded": "A question costs a bounded time, changes no state of the kernel's own.",
    # Programs
    "repl.task": "A program drives a whole task over the lines of repl alone.",
    "repl.answers": "Each request has one answer, in order, with the facts of its record.",
    "repl.asks": "What a cell asks for is answered over the same lines, or from elsewhere.",
    "repl.survives": "A bad line, a timeout or a dead kernel is answered, and the session goes on.",
    "repl.bounded": "Output comes as it is made, in small pieces, and an answer is never huge.",
    "repl.ends": "The session ends with its stdin and leaves no process, however it ends.",
    # Agents
    "mcp.small": "Tools and answers are few and small; the rest is read in pieces.",
    "mcp.answers": "A cell is answered with output, value, error, diff and rev.",
    "mcp.isolated": "An isolated cell of an agent may crash, and its session goes on.",
    "mcp.waits": "A long cell is waited for in bounds, told of, and cancelled alone.",
    "mcp.once": "A repeat with the same key is the same run, also for a new server.",
    "mcp.task": "An agent does a whole task over its tools alone, whatever its texts hold.",
    "mcp.rollback": "An agent goes back only after it was told what that changes.",
    "mcp.looks": "An agent looks while a cell runs, and the log says who looked.",
    "mcp.beside": "An agent works beside a person in one session, and neither is surprised.",
    "mcp.asks": "Only people answer questions; an agent is told the answer, bound and used once.",
    "mcp.survives": "A bad call, a dead kernel or a closed pipe is told, and harms nothing.",
    # The time machine
    "checkpoint.exact": "Variables and files come back as they were, sharing what they shared.",
    "checkpoint.files": "Large files, and all files where there is no git, come back as well.",
    "checkpoint.named": "What was kept, what was not and why is said, here and elsewhere.",
    "checkpoint.verified": "A damaged part is named, and nothing is changed.",
    "checkpoint.foreign": "A checkpoint of somebody else runs nothing unless it is trusted.",
    "checkpoint.survives": "A checkpoint that was told of outlives its kernel, however it ends.",
    "checkpoint.harmless": "Neither a class of the user nor the user's git comes to harm.",
    "checkpoint.background": "A checkpoint is what was there when it was asked for; cells go on.",
    "checkpoint.automatic": "Steps, tasks and approved cells leave checkpoints; cells, if asked.",
    "checkpoint.pictured": "What came of what, and what changed, is shown, and runs nothing.",
    "checkpoint.elsewhere": "A checkpoint is restored in a new kernel, here or on another machine.",
    "rollback.recipe": "What was lost comes with the cells that make it again; none is run.",
    "checkpoint.reached": "What a cell may have changed is saved again; in doubt, everything is.",
    "rollback.undoable": "Going back can be undone.",
    "rollback.everywhere": "Each cell of a notebook can be gone back to, and run on from there.",
    # Isolated cells
    "isolated.survives": "Whatever a worker dies of, the session lives on and says what it was.",
    "isolated.relay": "What an isolated cell says arrives as from a local one, as it happens.",
    "isolated.screen": "In JupyterLab isolated cells look and act like local ones.",
    "isolated.variables": "A worker gets what the cell reads; what is named comes back.",
    "isolated.marks": "A cell is isolated by magic, metadata, tag, comment, task type or setting.",
    "isolated.limits": "A cell is held to its limits, and told which one it passed.",
    "isolated.interrupt": "An interrupt stops the isolated cell, and nothing else.",
    "isolated.recorded": "The record of an isolated cell tells what changed in its worker.",
    "isolated.session": "Code in a worker works with task, context and questions of its session.",
    "isolated.checkpoints": "Where every cell is isolated, a worker's variables are kept.",
    "isolated.again": "A cell runs again where its worker dies, if that was said, and else never.",
    "isolated.orphans": "Nothing that a worker has started outlives it, its session or its zygote.",
    "isolated.background": "A cell in the background keeps nobody waiting, and is heard, awaited, "
    "cancelled and recorded.",
    "isolated.seen": "Workers are listed, here and elsewhere, with what they do; "
    "stop and restart work.",
    "isolated.blocked": "A cell that does not go on is told with reason and stack, no other one.",
    "isolated.kinds": "Where no fork is safe a worker is started as a program, or elsewhere; the "
    "log says which.",
    "isolated.scripts": "A script of bash runs in a worker: live, held to limits, asked, stopped.",
    "stuck.memory": "The cell that takes the last memory is interrupted, no other, and told why.",
    "stuck.seen": "From elsewhere it is seen what a session that is held does, with its stack.",
    "fork.sees": "A cell with --fork sees every variable at once, and changes nothing.",
    "fork.relay": "What it says and asks arrives as from a local cell; what is named comes back.",
    "fork.ends": "Limits, interrupts and deaths end it alone, and say what it was.",
    "fork.guarded": "What does not outlive a fork is refused or said before; a hang is killed.",
    "fork.orphans": "Nothing of it outlives it or its session.",
    # Work of programs at a server
    "sandbox.runs": "A command or a cell is heard as it runs, asked, ended, and told how it ended.",
    "sandbox.survives": "Whatever a task does to its worker, the server says it and goes on.",
    "sandbox.resumed": "A client that comes back gets what it missed, in order, each message once.",
    "sandbox.bounded": "Slow readers, floods and great output cost the server no memory.",
    "sandbox.guarded": "Only who may run kernels of the server is let in; no message breaks it.",
    "sandbox.recorded": "Each task is in the log with its user, as any isolated cell.",
    "watch.live": "In a terminal it is seen what happens, and questions are answered with a key.",
    # What survives
    "state.mirrored": "A mirror that is asked for holds what the logs hold, and harms nobody.",
    "state.rebuilt": "A lost or damaged store stops no kernel, and is made anew from the logs.",
    "death.recorded": "A cell that kills the kernel is on disk, and its death is recorded once.",
    "death.told": "The next kernel on that home says at its first cell what happened.",
    "death.only": "A live kernel is never declared dead, and an orderly end is no death.",
    "kill.lossless": "No acknowledged record is lost to SIGKILL at any instant.",
    "disk.harmless": "A home that cannot be written breaks no cell and is said once.",
    # What is pressed in the notebook
    "panel.press": "A button below a question answers it while its cell keeps the main thread, "
    "in JupyterLab and in front ends that know no subshells.",
    "panel.once": "The first valid answer counts, wherever it is given, and the buttons say it.",
    "panel.quiet": "A press is no request: no status, no event of IPython, no record of a cell.",
    "panel.hostile": "What is no press counts for nothing, and texts are shown as texts.",
    "panel.falls_back": "Without widgets, or without a kernel, there are text, HTML and the box.",
    "panel.live": "The panel shows the task while a cell runs, four times a second at most, and "
    "costs nothing when nothing changes.",
    "panel.orders": "Going back and stopping a worker are told first, done when that is confirmed, "
    "refused while a cell runs where they must be, and recorded.",
    "panel.seen": "In JupyterLab the buttons are reached by mouse and keyboard, light and dark.",
    # What pages show
    "dashboard.live": "What happens in a session is seen on the dashboard while it happens.",
    "dashboard.fluid": "The log is paged through from its end, however long it is.",
    "dashboard.decides": "An answer on the dashboard reaches the cell that waits, and counts once.",
    "dashboard.back": "The dashboard rolls back what it has shown and what was confirmed alone.",
    "dashboard.harmless": "No text and no output of a user is markup or runs on the dashboard.",
    "dashboard.reachable": "The dashboard is used with the keyboard, in light and in dark.",
    "dashboard.tab": "The dashboard is a tab of JupyterLab.",
    "dashboard.view": "Nothing is lost when the dashboard is killed, and no session notices.",
}


def promise(*ids: str) -> Callable[[_Test], _Test]:
    """Mark a test, or a class of tests, as holding these promises.

    Raises:
        KeyError: An id is not in the ledger.
    """
    for name in ids:
        PROMISES[name]

    def mark(test: _Test) -> _Test:
        return test

    return mark
