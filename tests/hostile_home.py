"""A home in which every text that a user, an agent or a file can write is a hostile one.

Made by the tests of what shows a home: the dashboard and the command line.
"""

import json
from collections.abc import Sequence
from typing import Final

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from flow_kernel.store.contract import ApprovalRow, StepRow, TaskRow, Writing
from flow_kernel.store.run_rows import RunRow, RunStepRow
from flow_kernel.workflow.model import Step, Workflow
from flow_kernel.workflow.spec_document import as_document
from tests.apps.sample_log import SampleLog
from tests.hostile_texts import HOSTILE
from tests.session.shelves import shelf_at, taken

AT: Final = "2026-11-21T10:00:00.000Z"
_FILES: Final = {"commit": "0" * 40, "tree": "0" * 40, "ref": "refs/x"}


def fill(home: Home, texts: Sequence[str] = HOSTILE) -> None:
    """Put them into the state, the logs and the checkpoints of a new home."""
    flow = flow_of(home, author=texts[0])
    with flow.store.write() as change:
        for number, text in enumerate(texts, 1):
            names = {"plan_id": "local", "task_id": change.new_task_id("local")}
            change.put_task(
                TaskRow(
                    **names, name=text, description=text, reason=text, author=text, created_at=AT
                ),
                at=AT,
            )
            change.put_approval(_question(change.new_approval_id(), text, number), at=AT)
        for number, text in enumerate(texts, 1):
            step = StepRow(plan_id="local", task_id="T-0001", number=number, name=text, reason=text)
            change.put_step(step, at=AT)
            if "\0" not in text:
                change.put_tag("local", "T-0001", text, is_set=True, at=AT)
        _put_run(change, texts)
    flow.update_task_context("T-0001", {text: [text, {text: text}] for text in texts})
    flow.close()
    _write_logs(home, texts)
    _take_checkpoints(home, texts)


def _question(approval_id: str, text: str, number: int) -> ApprovalRow:
    is_open = number % 2 == 0
    return ApprovalRow(
        approval_id=approval_id,
        plan_id="local",
        task_id="T-0001",
        step=text,
        message=text,
        code_sha256="a" * 64,
        payload_sha256=None,
        approval_hash="b" * 64,
        level="advisory",
        status="open" if is_open else "rejected",
        requested_by=text,
        requested_at=AT,
        session="c" * 32,
        decided_by=None if is_open else text,
        decided_at=None if is_open else AT,
        channel=None if is_open else text,
        comment="" if is_open else text,
        code=text,
        payload=text,
    )


def _put_run(change: Writing, texts: Sequence[str]) -> None:
    steps = [Step(id=f"step{number}", name=text) for number, text in enumerate(texts, 1)]
    workflow = Workflow(name=texts[0], description=texts[0], steps=tuple(steps))
    change.put_workflow_document("f" * 64, json.dumps(as_document(workflow)))
    run = RunRow(
        run_id=change.new_run_id(), workflow=texts[0], sha256="f" * 64, plan_id="local",
        task_id="T-0001", status="failed", reason=texts[0], created_at=AT, started_at=AT,
        completed_at=AT, output_data=json.dumps({text: [text] for text in texts}),
    )  # fmt: skip
    change.put_run(run, at=AT)
    for number, text in enumerate(texts, 1):
        error = {"type": text, "message": text, "stderr": text}
        step = RunStepRow(
            run_id=run.run_id, step_id=f"step{number}", number=number, state="error",
            executor=text, started_at=AT, ended_at=AT, elapsed_ms=3.0, error=json.dumps(error),
            logs=text,
        )  # fmt: skip
        change.put_run_step(step, run, at=AT)


def _write_logs(home: Home, texts: Sequence[str]) -> None:
    log = SampleLog(home.root)
    for text in texts:
        log.failed(
            text,
            ename=text,
            stdout=text,
            stderr=text,
            result=text,
            step=text,
            actor=text,
            worker=text,
            added_vars=[text],
            changed_vars=[text],
            vars={text: {"type": text, "summary": text}},
            imports={text: text},
        )
        log.put("worker", worker_id=text, state=text, reason=text, detail=text)
        log.put("step", name=text, log=text, state=text)
        log.put("hidden", count=1, reason=text)
        log.put(text, text=text)


def _take_checkpoints(home: Home, texts: Sequence[str]) -> None:
    shelf = shelf_at(home.root)
    parent = None
    for number, text in enumerate(texts):
        facts = {
            "name": text, "reason": text, "parent_id": parent, "seq": number,
            "variables": {text: {"type": text, "summary": text}},
            "not_saved": [
                {"name": f"{text}.", "type": text, "reason": text, "seq": 1, "ident": 7}
            ],
            "git": {**_FILES, "tag": text, "left_out": [{"path": text, "reason": text}]},
        }  # fmt: skip
        parent = taken(shelf, {text: b"x"}, **facts).checkpoint_id
