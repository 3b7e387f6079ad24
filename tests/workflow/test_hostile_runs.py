"""Runs that are answered, resumed and stopped at the worst moments, from the worst places."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flow_kernel.errors import StoreError, UsageError, WorkflowInvalid
from flow_kernel.records.home import Home
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.workflow import asked, events, reuse
from flow_kernel.workflow.going_on import parked_on
from flow_kernel.workflow.holding import held
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.service import Selection, Service, environment
from flow_kernel.workflow.states import RunStatus
from flow_kernel.workflow.views import Run
from tests.workers.trees import until
from tests.workflow.homes import opened, run, script, states, workflow

CLI = [sys.executable, "-m", "flow_kernel.apps.cli"]
ASK = {"id": "ask", "step_type": "APPROVAL", "code": "ok?"}
GIVEN_S = 20.0


def bounded(service: Service, found: object, variables: RunOptions) -> Run:
    """A run that must end by itself."""
    row = service.begin(found, options=variables)  # type: ignore[arg-type]  # a workflow

    async def main() -> Run:
        return await asyncio.wait_for(service.go(row), GIVEN_S)

    return asyncio.run(main())


# -- answers ---------------------------------------------------------------------------------------


def test_a_question_whose_time_is_over_ends_a_run_that_waits_for_it(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, service):
        steps = workflow(tmp_path, {**ASK, "timeout": 0.2})
        found = bounded(service, steps, RunOptions(executor="inline", waits=True))

    assert (found.status, states(found)) == (RunStatus.FAILED, {"ask": "timeout"})


def test_a_run_hears_an_answer_that_its_own_process_gives(tmp_path: Path) -> None:
    with opened(tmp_path) as (flow, service):
        row = service.begin(
            workflow(tmp_path, ASK, {"id": "b", "code": "print('{}')"}),
            options=RunOptions(executor="inline", waits=True),
        )
        desk = ApprovalDesk(flow.store, now=flow.now, redact=lambda text: text)

        async def main() -> Run:
            loop = asyncio.get_running_loop()

            def answer() -> None:
                desk.decide("A-0001", "approve", by="ada", channel="cli", comment="")

            def tell(event: events.Event) -> None:
                if isinstance(event, events.StepEnded) and event.row.state == "waiting":
                    loop.call_later(0.2, answer)

            return await asyncio.wait_for(service.go(row, tell), GIVEN_S)

        found = asyncio.run(main())

    assert states(found) == {"ask": "ok", "b": "ok"}


def test_an_answer_that_comes_while_a_run_is_about_to_park_is_never_missed(tmp_path: Path) -> None:
    with opened(tmp_path) as (flow, service):
        row = service.begin(
            workflow(tmp_path, ASK, {"id": "b", "code": "print('{}')"}),
            options=RunOptions(executor="inline"),
        )
        goes_on: list[str | None] = []

        def answer() -> None:
            with opened(tmp_path) as (other, _):
                desk = ApprovalDesk(other.store, now=other.now, redact=lambda text: text)
                desk.decide("A-0001", "approve", by="bob", channel="cli", comment="")
                goes_on.append(parked_on(other.store, other.home, "A-0001"))

        def tell(event: events.Event) -> None:
            # The question is stored, and the run has nothing more to do.
            if isinstance(event, events.StepEnded) and event.row.state == "waiting":
                thread = threading.Thread(target=answer)
                thread.start()
                thread.join(GIVEN_S)

        found = service.run(row, tell)

    assert (goes_on, found.status, states(found)) == (
        [None],
        RunStatus.SUCCESS,
        {"ask": "ok", "b": "ok"},
    )
    assert flow.home.root.exists()


# -- going on --------------------------------------------------------------------------------------


def killed(directory: Path, name: str, *steps: dict[str, str]) -> None:
    """A run that was killed while its last step waited for a file `go`."""
    mark = directory / f"{name}.mark"
    wait = (
        f"import os, time\nopen({str(mark)!r}, 'w').close()\n"
        f"while not os.path.exists({str(directory / 'go')!r}): time.sleep(0.01)\nprint('{{}}')\n"
    )
    document = {"name": name, "steps": [*steps, {"id": "wait", "code": wait}]}
    (directory / f"{name}.json").write_text(json.dumps(document))
    with subprocess.Popen(
        [*CLI, "run", f"{name}.json"], cwd=directory, env=env(directory), stdout=subprocess.DEVNULL
    ) as process:
        until(mark.exists)
        process.kill()
    mark.unlink()


def env(directory: Path) -> dict[str, str]:
    return {**os.environ, "FLOW_HOME": str(directory / ".flow")}


def test_a_run_that_cannot_go_on_keeps_no_other_from_it(tmp_path: Path) -> None:
    large = "import json\nprint(json.dumps({'x': 'y' * 100_000}))"
    killed(tmp_path, "large", {"id": "a", "code": large})
    killed(tmp_path, "small")
    shutil.rmtree(tmp_path / ".flow/objects")
    (tmp_path / "go").touch()

    done = subprocess.run(
        [*CLI, "resume"],
        cwd=tmp_path,
        env=env(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    with opened(tmp_path) as (_, service):
        found = [service.book.run(run_id).status for run_id in ("R-0001", "R-0002")]
    assert (done.returncode, found) == (1, [RunStatus.RUNNING, RunStatus.SUCCESS])
    assert done.stderr.startswith("R-0001: a value of a run cannot be read")


def test_ctrl_c_while_runs_go_on_begins_no_further_one(tmp_path: Path) -> None:
    killed(tmp_path, "first")
    killed(tmp_path, "second")

    with subprocess.Popen(
        [*CLI, "resume"], cwd=tmp_path, env=env(tmp_path), stdout=subprocess.DEVNULL
    ) as process:
        until((tmp_path / "first.mark").exists)
        process.send_signal(signal.SIGINT)
        process.wait(20)

    with opened(tmp_path) as (_, service):
        found = [service.book.run(run_id).status for run_id in ("R-0001", "R-0002")]
    assert (process.returncode, found) == (130, [RunStatus.CANCELLED, RunStatus.RUNNING])


def test_many_processes_resume_one_run_and_one_of_them_goes_on(tmp_path: Path) -> None:
    killed(tmp_path, "one")
    (tmp_path / "go").touch()

    all_of_them = [
        subprocess.Popen(
            [*CLI, "resume", "R-0001"],
            cwd=tmp_path,
            env=env(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60)[1] for process in all_of_them]

    codes = sorted(process.returncode for process in all_of_them)
    assert codes == [0, 2, 2, 2]
    assert not [text for text in said if "Traceback" in text]


def test_a_run_is_held_while_others_of_the_home_end(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    home.ensure()
    failed: list[BaseException] = []

    def hold(number: int) -> None:
        try:
            for at in range(200):
                with held(home, f"R-{number:02d}{at:02d}"):
                    pass
        except BaseException as error:  # noqa: BLE001 - it is told below
            failed.append(error)

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (failed, [*(home.run_dir / "steps").glob("*")]) == ([], [])


def test_a_run_whose_store_was_replaced_never_ends_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    remove = (
        "import glob, os, time\n"
        f"for each in glob.glob({str(tmp_path / '.flow/flow.db*')!r}): os.remove(each)\n"
        "time.sleep(1.5)\n"  # so long that the log is brought up to date meanwhile
    )
    found = workflow(tmp_path, {"id": "a", "code": "1"}, {"id": "b", "code": remove})

    with pytest.raises(StoreError) as caught:
        run(tmp_path, found, executor="fork")

    assert "R-0001" in caught.value.message or "deleted" in caught.value.message


# -- results of before -----------------------------------------------------------------------------


def test_a_kept_result_that_lacks_a_mapped_key_is_never_taken_in_silence(tmp_path: Path) -> None:
    step = {"id": "a", "code": script(a="1"), "cache": True}
    run(tmp_path, workflow(tmp_path, step))

    found = run(tmp_path, workflow(tmp_path, {**step, "output_mapping": {"x": "b"}}))

    error = found.step("a").error or {}
    assert (states(found), error["message"]) == (
        {"a": "error"},
        'its output lacks "b" (for x); it has "a"',
    )


@pytest.mark.parametrize("selection", [Selection(start_at=("b",)), Selection(only=("b",))])
def test_a_result_of_before_sets_what_the_definition_of_today_says(
    tmp_path: Path, selection: Selection
) -> None:
    first = {"id": "a", "code": script(n="5")}
    second = {"id": "b", "code": script(k="v['x']"), "output_mapping": {"y": "k"}}
    run(tmp_path, workflow(tmp_path, first, second, variables={"x": 0}))

    found = run(
        tmp_path,
        workflow(tmp_path, {**first, "output_mapping": {"x": "n"}}, second, variables={"x": 0}),
        selection=selection,
    )
    lacks = run(
        tmp_path,
        workflow(tmp_path, {**first, "output_mapping": {"x": "m"}}, second, variables={"x": 0}),
        selection=Selection(start_at=("b",)),
    )

    assert (found.step("a").reused_from, found.output_data) == ("R-0001", {"x": 5, "y": 5})
    assert states(lacks) == {"a": "error", "b": "skipped"}


def test_what_needs_a_step_is_found_in_a_row_of_twenty_thousand(tmp_path: Path) -> None:
    steps = [{"id": f"s{at}", "code": "print('{}')"} for at in range(20_000)]
    long = workflow(tmp_path, *steps)

    assert len(reuse.downstream(long, ["s0"])) == 20_000


def test_a_handler_and_what_needs_it_count_as_needing_what_it_handles(tmp_path: Path) -> None:
    found = workflow(
        tmp_path,
        {"id": "a", "needs": [], "code": "1", "on_error": {"goto": "h"}},
        {"id": "b", "needs": [], "code": "1"},
        {"id": "h", "needs": [], "code": "1"},
        {"id": "c", "needs": ["h"], "code": "1"},
    )

    assert reuse.downstream(found, ["a"]) == {"a", "h", "c"}


# -- places and values -----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("is_directory", [True, False])
def test_a_path_that_is_no_utf8_is_one_sentence(tmp_path: Path, is_directory: bool) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(odd)
    where = odd if is_directory else os.fsencode(tmp_path)
    with open(where + b"/w.json", "w", encoding="utf-8") as file:
        file.write('{"name": "w", "steps": [{"id": "a", "code": "print(1)"}]}')

    more: list[str | bytes] = [] if is_directory else ["--keep-files", odd]
    words: list[str | bytes] = [*CLI, "run", "w.json", *more]
    done = subprocess.run(
        words,
        cwd=where,
        env=env(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "is no UTF-8" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_home_and_a_directory_for_files_are_the_same_wherever_a_step_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOW_HOME", "home")

    found = run(
        tmp_path,
        workflow(tmp_path / "work", {"id": "a", "code": script(n="v['n']")}, variables={"n": 4}),
        executor="subprocess",
        keep_in="kept",
    )

    assert environment()["FLOW_HOME"] == str(tmp_path / "home")
    assert (found.output_data, len([*(tmp_path / "kept").glob("*.json")])) == ({"a": {"n": 4}}, 1)


def test_numbers_and_keys_of_variables_are_never_changed_in_silence(tmp_path: Path) -> None:
    file = tmp_path / "v.json"
    long = "1" * 30

    given = asked.variables_of([f"n={long}", "nan=NaN"], None)
    file.write_text('{"n": 1, "n": 2}')
    with pytest.raises(UsageError) as twice:
        asked.variables_of([], file)
    file.write_text(f'{{"n": {long}}}')
    with opened(tmp_path) as (_, service), pytest.raises(UsageError) as too_long:
        service.begin(workflow(tmp_path, {"id": "a", "code": "1"}), asked.variables_of([], file))

    assert given == {"n": int(long), "nan": "NaN"}
    assert 'the key "n" is there twice' in twice.value.message
    assert "exceeds 64-bit" in too_long.value.message


def test_a_definition_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    odd = workflow(tmp_path, {"id": "a", "code": "1"})
    with opened(tmp_path) as (_, service), pytest.raises(WorkflowInvalid) as caught:
        service.begin(type(odd)(name="w", steps=odd.steps, directory="/\udcff"))

    assert "is no UTF-8" in caught.value.problems[0]


def test_an_interrupt_stops_a_run_beside_a_loop_and_it_is_told_as_stopped(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    step = f"import time\nopen({str(mark)!r}, 'w').close()\ntime.sleep(60)"
    document = {"name": "w", "steps": [{"id": "a", "code": step}]}
    code = (
        "import asyncio, signal\nfrom flow_kernel import workflows\n"
        "async def main():\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"    return workflows.run({document!r}, home={str(tmp_path / 'home')!r})\n"
        "print(asyncio.run(main()).status)\n"
    )
    (tmp_path / "home").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        until(mark.exists)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)

    assert (process.returncode, out) == (0, "cancelled\n")
