"""Verbs with --json where nothing was begun yet: lists are empty, what is named is not found."""

from pathlib import Path

import pytest

from tests.apps.running import Cli

EMPTY = {"items": [], "next": None}


@pytest.mark.parametrize(
    "line",
    [
        "approvals",
        "approvals --status open",
        "approvals --remind",
        "tasks",
        "tasks --status doing --tag urgent --with rows=2",
        "runs",
        "runs list --limit 5",
        "resume",
        "checkpoints",
        "checkpoints tree",
        "workers",
    ],
)
@pytest.mark.parametrize("has_folder", [False, True])
def test_a_list_of_a_home_without_a_store_is_empty_and_makes_nothing(
    cli: Cli, line: str, has_folder: bool
) -> None:
    home = Path(".flow")
    if has_folder:
        home.mkdir()

    done = cli(*line.split(), "--json")

    assert (done.code, done.document, done.err) == (0, EMPTY, "")
    assert (home.is_dir(), [*home.glob("*")]) == (has_folder, [])


@pytest.mark.parametrize("line", ["log", "log --limit 5 --failed", "log --since 2h"])
@pytest.mark.parametrize("has_folder", [False, True])
def test_a_log_that_was_not_begun_has_no_records(cli: Cli, line: str, has_folder: bool) -> None:
    home = Path(".flow")
    if has_folder:
        home.mkdir()

    done = cli(*line.split(), "--json")

    assert (done.code, done.out, done.err) == (0, "", "")
    assert (home.is_dir(), [*home.glob("*")]) == (has_folder, [])


@pytest.mark.parametrize("engine", ["auto", "duckdb", "python"])
def test_counts_of_a_home_without_a_log_are_zero(cli: Cli, engine: str) -> None:
    done = cli("stats", "--engine", engine, "--json")
    nothing = {"cells": 0, "failures": 0, "elapsed_ms": 0.0, "tasks": []}
    assert (done.code, done.document, done.err, Path(".flow").exists()) == (0, nothing, "", False)


@pytest.mark.parametrize("line", ["log", "stats"])
def test_people_are_told_where_a_log_comes_from(cli: Cli, line: str) -> None:
    done = cli(line)
    assert (done.code, done.out, "run a cell on the kernel flow" in done.err) == (2, "", True)


@pytest.mark.parametrize("line", ["approvals", "tasks", "runs", "resume"])
def test_people_are_told_how_to_begin(cli: Cli, line: str) -> None:
    done = cli(line)
    assert (done.code, done.out, "%task start NAME" in done.err) == (2, "", True)


def test_watch_shows_the_same_nothing_to_programs(cli: Cli) -> None:
    done = cli("watch", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.document["approvals"] == done.document["tasks"] == []


@pytest.mark.parametrize(
    "line",
    [
        "approvals A-0001",
        "approve A-0001",
        "context T-0001",
        "context T-0001 --history rows",
        "task show T-0001",
        "runs show",
        "runs show R-0001",
        "runs diff R-0001 R-0002",
        "resume R-0001",
        "checkpoints show clean",
        "workers w1",
        "log --task T-0001",
        "log --plan local",
        "log --file T-0001.jsonl",
        "stats T-0001.jsonl",
    ],
)
def test_what_is_named_and_not_there_is_an_error(cli: Cli, line: str) -> None:
    done = cli(*line.split(), "--json")
    assert (done.code, [*done.document], done.err.count("\n")) == (2, ["error"], 1)


@pytest.mark.parametrize(
    "line",
    [
        "approvals --command true",
        "approvals --remind --status open",
        "approvals --remind --command 'open",
        "tasks --plan a/b",
        "tasks --with rows",
        "tasks --home missing",
        "approvals --home missing",
        "log --home missing",
        "log --task nonsense",
        "stats --home missing",
    ],
)
def test_wrong_arguments_are_wrong_in_an_empty_home_too(cli: Cli, line: str) -> None:
    done = cli(*line.split(), "--json")
    assert (done.code, [*done.document], done.err.count("\n")) == (2, ["error"], 1)
