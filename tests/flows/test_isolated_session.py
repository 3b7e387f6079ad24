"""Code in a worker that works with its session, in real kernels: tasks, steps, questions."""

import json
import re
import sys

import pytest

from tests.isolating import IMPORT, ok, there, with_session
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@pytest.fixture(scope="module")
def kernel(kernel: Kernel) -> Kernel:
    return with_session(kernel)


@pytest.fixture
def own(own: Kernel) -> Kernel:
    return with_session(own)


def error_there(kernel: Kernel, code: str) -> str:
    """The class and the text of what `code` raises in a worker."""
    return there(
        kernel,
        "try:\n"
        + "".join(f"    {line}\n" for line in code.split("\n"))
        + "except BaseException as error:\n    print(type(error).__name__, '|', error)",
    ).strip()


@promise("isolated.session")
def test_a_task_is_begun_worked_on_and_finished_from_a_worker(kernel: Kernel) -> None:
    assert there(kernel, "s.current_task is None") == "True"
    begun = there(
        kernel,
        "view = s.start_task('Sum', 'of it all', steps=('Load', 'Add'), type='custom')\n"
        "view.task.name, view.task.type, [step.name for step in view.steps]",
    )
    assert begun == "('Sum', 'custom', ['Load', 'Add'])"
    assert there(kernel, "s.current_task.name, s.current_task.status") == "('Sum', 'doing')"
    assert ok(kernel, "current_session().current_task.name") == "'Sum'"
    card = kernel.run(f"%%isolated\n{IMPORT}s.finish()")
    assert "Sum" in str(card.result)
    assert "text/html" in card.of("execute_result")[0]["content"]["data"]
    assert there(kernel, "s.current_task is None") == "True"


@promise("isolated.session")
def test_the_context_is_that_of_the_task(kernel: Kernel) -> None:
    ok(kernel, "%task start Context")
    there(kernel, "s.context['a'] = {'deep': [1, None]}\ns.context.update({'b': 2}, c='é')")
    assert there(kernel, "s.context['a'], len(s.context), s.context.get('d', 5)") == (
        "({'deep': [1, None]}, 3, 5)"
    )
    there(kernel, "del s.context['b']")
    assert ok(kernel, "dict(current_session().context)") == "{'a': {'deep': [1, None]}, 'c': 'é'}"
    assert error_there(kernel, "s.context['b']") == "KeyError | 'b'"
    assert error_there(kernel, "del s.context['b']") == "KeyError | 'b'"
    ok(kernel, "%task finish")
    assert error_there(kernel, "s.context['a']").startswith(
        "NotFound | no task is open here; begin"
    )


@promise("isolated.session")
def test_records_land_in_the_log_of_the_task_under_the_step(kernel: Kernel) -> None:
    ok(kernel, "%task start Steps")
    task_id = ok(kernel, "current_session().current_task.task_id").strip("'")
    (kernel.cwd / "made.txt").write_text("made")
    ran = kernel.run(
        f"%%isolated\n{IMPORT}"
        "with s.step('Outer') as outer:\n"
        "    outer.log('first')\n"
        "    with s.step('Inner') as inner:\n"
        "        for i in range(5000): inner.progress(i + 1, 10_000)\n"
        "        inner.log('second'); inner.artifact('made.txt')\n"
        "    outer.log('third')"
    )
    assert ran.status == "ok", ran.error
    logged = [r for r in kernel.logs.records("step", task_id=task_id) if "log" in r]
    assert [(r["step"], r["log"]) for r in logged] == [
        ("Outer", "first"), ("Inner", "second"), ("Outer", "third"),
    ]  # fmt: skip
    bars = [m["content"]["data"]["text/plain"] for m in ran.of("update_display_data")]
    assert "5000/10000" in bars[-1]
    view = "current_session().tasks.show()"
    assert ok(kernel, f"[(x.name, x.state) for x in {view}.steps]") == (
        "[('Outer', 'done'), ('Inner', 'done')]"
    )
    assert ok(kernel, f"{view}.context['artifacts']") == "['work/made.txt']"
    assert kernel.logs.one("cell", msg_id=ran.msg_id)["task_id"] == task_id
    ok(kernel, "%task finish")


@promise("isolated.session")
def test_an_error_fails_the_step_and_the_cell_with_its_own_class(kernel: Kernel) -> None:
    ok(kernel, "%task start Fails")
    ran = kernel.run(f"%%isolated\n{IMPORT}with s.step('Divide'):\n    1 / 0")
    assert ran.reply["ename"] == "ZeroDivisionError"
    steps = "[(x.name, x.state, x.reason) for x in current_session().tasks.show().steps]"
    assert ok(kernel, steps) == "[('Divide', 'failed', 'ZeroDivisionError')]"
    there(kernel, "left = s.step('Left open'); left.__enter__()\nNone")
    assert ok(kernel, steps).endswith("('Left open', 'done', '')]")
    ran = kernel.run(
        f"%%isolated --fresh\n{IMPORT}with s.step('Dies'):\n    import os; os._exit(3)"
    )
    assert ran.reply["ename"] == "WorkerDied"
    assert ok(kernel, steps).endswith("('Dies', 'failed', 'WorkerDied')]")
    there(kernel, "s.fail('enough')")


@promise("isolated.session")
def test_checkpoint_and_rollback_act_on_the_variables_of_the_session(own: Kernel) -> None:
    ok(own, "x = 1")
    made = there(own, "made = s.checkpoint('before'); print(made)").strip()
    ok(own, "x = 2")
    assert there(own, "print(s.rollback('before', what='state'))").strip() == made
    assert ok(own, "x") == "1"
    assert error_there(own, "s.rollback('nowhere')").startswith("NotFound | ")


@promise("isolated.session")
def test_a_session_that_a_variable_holds_is_that_of_the_worker_there(kernel: Kernel) -> None:
    ok(kernel, "held = current_session()")
    assert ok(kernel, "%%isolated --out back\nback = held\nheld") == "<the session of this worker>"
    assert ok(kernel, "back is held is current_session()") == "True"


# -- who may call ----------------------------------------------------------------------------------


@promise("isolated.session")
def test_a_thread_is_refused_during_a_cell_and_after_it(kernel: Kernel) -> None:
    said = there(
        kernel,
        "import threading\nsaid, go, enough = [], threading.Event(), threading.Event()\n"
        "def call():\n"
        "    try: s.current_task\n"
        "    except LookupError as error: said.append(str(error))\n"
        "def late():\n"
        "    go.wait(10)\n"
        "    while 'no cell' not in said[-1] and not enough.wait(0.01): call()\n"
        "thread = threading.Thread(target=call); thread.start(); thread.join()\n"
        "later = threading.Thread(target=late); later.start(); said[0]",
    )
    assert said.startswith("'only the thread that runs the cell can call the session; hand")
    # A cell without a job of ours is none of the session's: the thread calls between two cells.
    there(kernel, "import atexit, time\nthreading.Timer(0.2, go.set).start()")
    kernel.wait(lambda: "no cell of the session" in there(kernel, "said[-1]"))
    there(kernel, "enough.set(); later.join()")


@promise("isolated.session")
def test_a_forked_process_is_refused(kernel: Kernel) -> None:
    said = there(
        kernel,
        "import os\nread, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    try: s.current_task\n"
        "    except BaseException as error: os.write(write, str(error).encode())\n"
        "    os._exit(0)\n"
        "print(os.read(read, 1000).decode())",
    )
    assert said.startswith("a forked process cannot call the session")


@promise("isolated.session")
def test_two_kernels_have_two_sessions(own: Kernel, kernel: Kernel) -> None:
    ok(own, "%task start One")
    ok(kernel, "%task start Two")
    ids = [
        each.send(
            f"%%isolated\n{IMPORT}s.context['who'] = s.current_task.name; s.current_task.name"
        )
        for each in (own, kernel)
    ]
    names = [each.collect(i).result for each, i in zip((own, kernel), ids, strict=True)]
    assert names == ["'One'", "'Two'"]
    assert own.logs.records("context")[-1]["task_id"] == "T-0001"
    assert "who" in json.dumps(own.logs.records("context")[-1])
    ok(kernel, "%task cancel")


@promise("isolated.session")
def test_what_cannot_be_called_says_so(kernel: Kernel) -> None:
    assert error_there(kernel, "s.journal").startswith("AttributeError | journal of the session")
    assert error_there(kernel, "s.step('x').__enter__()").startswith("NotFound | no task is open")
    assert error_there(kernel, "s.start_task('list')").startswith("UsageError | ")


@promise("isolated.session")
def test_a_step_that_was_left_open_cannot_end_one_of_a_later_cell(kernel: Kernel) -> None:
    ok(kernel, "%task start Late")
    there(kernel, "left = s.step('Left'); left.__enter__()\nNone")
    said = there(
        kernel,
        "with s.step('Now') as now:\n"
        "    try: left.__exit__(ValueError, ValueError(), None)\n"
        "    except ValueError: pass\n"
        "    now.log('still here')",
    )
    assert said == ""
    view = "[(x.name, x.state) for x in current_session().tasks.show().steps]"
    assert ok(kernel, view) == "[('Left', 'done'), ('Now', 'done')]"
    assert kernel.logs.records("step", log="still here")[-1]["step"] == "Now"
    ok(kernel, "%task cancel")


@promise("isolated.session")
def test_an_error_of_the_session_is_shown_as_one_of_the_cell(kernel: Kernel) -> None:
    ran = kernel.run(f"%%isolated\n{IMPORT}\n\ns.start_task('list')")
    assert ran.error is not None
    assert ran.error["ename"] == "UsageError"
    shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(ran.error["traceback"]))
    assert "s.start_task('list')" in shown
    caught = (
        f"body = '''{IMPORT}s.context['a'] = 1'''\n"
        "from flow_kernel.errors import NotFound\n"
        "try: get_ipython().run_cell_magic('isolated', '', body)\n"
        "except NotFound as error: print('caught', error.hint)"
    )
    assert ok(kernel, caught) == "caught begin one: %task start NAME\n"


# -- hostile ---------------------------------------------------------------------------------------


@promise("isolated.session")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("s.request_approval('Go?', payload={1, 2})", "payload is not JSON (Type is not"),
        ("s.request_approval(object())", "message is not JSON"),
        ("s.start_task('x', steps=(n for n in 'ab'))", "steps is not JSON"),
        ("s.start_task('x', type=float('nan'))", "type is not JSON"),
        ("s.context['a'] = {1: 2}", "the value of context key 'a' is not JSON"),
        ("s.context.update(a='\\ud800')", "the value of context key 'a' is not JSON"),
        ("s.artifact(3.5)", "an artifact is a path, not float"),
        ("s._call('nothing')", "a session does no 'nothing' for a worker"),
    ],
)
def test_a_hostile_argument_is_named_and_nothing_is_done(
    kernel: Kernel, code: str, words: str
) -> None:
    ok(kernel, "%task start Hostile")
    assert error_there(kernel, code).startswith(f"UsageError | {words}")
    assert ok(kernel, "dict(current_session().context)") == "{}"
    ok(kernel, "%task cancel")


@promise("isolated.session")
def test_ten_megabytes_and_text_that_is_no_utf_8_get_through(kernel: Kernel) -> None:
    ok(kernel, "%task start Large")
    there(kernel, "s.context['large'] = 'é' * 5_000_000")
    assert there(kernel, "s.context['large'] == 'é' * 5_000_000") == "True"
    ok(kernel, "with current_session().step('here') as h: h.log('a\\ud800b')")
    there(kernel, "with s.step('there') as t: t.log('a\\ud800b')")
    logged = [r["log"] for r in kernel.logs.records("step") if "log" in r][-2:]
    assert logged[0] == logged[1]
    ok(kernel, "%task cancel")


@promise("isolated.session", "isolated.survives")
def test_a_call_that_is_none_costs_nothing(kernel: Kernel) -> None:
    said = there(
        kernel,
        "import zmq\nk = get_ipython().kernel; said = []\n"
        "calls = ['', '[]', '[' * 100_000, '{\"op\": \"log\", \"args\": {\"txt\": 1}}', None, 7]\n"
        "for number, call in enumerate(calls):\n"
        "    content = {'id': f'x{number}', 'call': call}\n"
        "    k.session.send(k.iopub_socket, 'flow_call', content, k.get_parent('shell'))\n"
        "    if isinstance(call, str):\n"
        "        k.stdin_socket.poll(5000)\n"
        "        content = k.session.recv(k.stdin_socket)[1]['content']\n"
        "        said.append((content['flow_call'], 'error' in content['value']))\n"
        "said, s.current_task is None",
    )
    assert said == "([('x0', True), ('x1', True), ('x2', True), ('x3', True)], True)"
