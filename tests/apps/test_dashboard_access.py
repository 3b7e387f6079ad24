"""Who may ask the dashboard: the right host, origin and token, over HTTP and WebSocket."""

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from tests.apps.running import Cli
from tests.dashboard import Served
from tests.sandboxes import wait_for

pytest.importorskip("jupyter_server")
pytestmark = pytest.mark.usefixtures("servers")

HOSTS = ("localhost", "127.0.0.1", "evil.example", "localhost.evil.example")
ORIGINS = ("same", "none", "http://evil.example", "null")
TOKENS = ("right", "wrong", "none", "in the address")
RIGHT_HOSTS = ("localhost", "127.0.0.1")
RIGHT_ORIGINS = ("same", "none")
RIGHT_TOKENS = ("right", "in the address")
CASES = [*itertools.product(HOSTS, ORIGINS, TOKENS)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    home = root / "work" / ".flow"
    flow = flow_of(Home(home), author="ann")
    flow.start_task("a task")
    flow.close()
    with Served(root, home) as served:
        yield served


def _sent(served: Served, host: str, origin: str, token: str) -> tuple[dict[str, str], str]:
    """Headers, and what stands behind the path."""
    headers = {"Host": f"{host}:{served.port}"}
    if origin != "none":
        headers["Origin"] = f"http://{headers['Host']}" if origin == "same" else origin
    if token in ("right", "wrong"):
        word = served.token if token == "right" else served.token[::-1]
        headers["Authorization"] = f"token {word}"
    return headers, f"?token={served.token}" if token == "in the address" else ""


def _is_right(host: str, origin: str, token: str) -> bool:
    return host in RIGHT_HOSTS and origin in RIGHT_ORIGINS and token in RIGHT_TOKENS


@pytest.mark.parametrize("path", ["api/tasks", "", "static/app.mjs", "runs/R-0001/picture"])
def test_a_page_is_given_to_the_right_host_origin_and_token_alone(
    served: Served, path: str
) -> None:
    found = {}
    for case in CASES:
        headers, query = _sent(served, *case)
        answer = served.ask("GET", f"/flow/{path}{query}", headers=headers)
        # There is no such run: who may ask is told so.
        given = answer.status == 404 and case[1] in RIGHT_ORIGINS if "R-0001" in path else False
        found[case] = answer.status == 200 or given

    assert found == {case: _is_right(*case) for case in CASES}
    assert len(found) == 64


def test_an_answer_is_taken_from_the_right_host_origin_and_token_alone(served: Served) -> None:
    found = {}
    for case in CASES:
        headers, query = _sent(served, *case)
        headers["Content-Type"] = "application/json"
        answer = served.ask(
            "POST",
            f"/flow/api/approvals/A-0001{query}",
            headers=headers,
            body=b'{"decision": "approve"}',
        )
        # It was read: there is no such question.
        found[case] = answer.status == 404 and b"there is no approval" in answer.body

    assert found == {case: _is_right(*case) for case in CASES}


def test_a_websocket_is_opened_to_the_right_host_origin_and_token_alone(served: Served) -> None:
    found = {}
    for case in CASES:
        headers, query = _sent(served, *case)
        if query:
            continue
        with served.listen(headers=headers) as listener:
            found[case] = listener.status == 101

    assert found == {case: _is_right(*case) for case in found}
    assert len(found) == 48


def test_a_browser_with_a_cookie_needs_the_word_against_forgery(served: Served) -> None:
    opened = served.ask("GET", f"/flow/?token={served.token}")
    cookie = opened.cookies
    word = next(each for each in cookie.split("; ") if each.startswith("_xsrf=")).partition("=")[2]
    origin = {"Origin": served.origin, "Content-Type": "application/json"}

    def status(**headers: str) -> int:
        sent = origin | {name.replace("_", "-"): value for name, value in headers.items()}
        return served.ask(
            "POST", "/flow/api/approvals/A-0001", headers=sent, body=b'{"decision": "approve"}'
        ).status

    assert [
        status(Cookie=cookie, X_XSRFToken=word),
        status(Cookie=cookie, X_XSRFToken=word[::-1]),
        status(Cookie=cookie),
        status(X_XSRFToken=word),
    ] == [404, 403, 403, 403]


def test_a_server_that_was_started_anew_refuses_the_token_of_before(
    served: Served, tmp_path: Path
) -> None:
    before, home = served, served.home
    let_in = before.ask("GET", "/flow/api/tasks", headers=before.rights)
    with Served(tmp_path, home) as now:
        answers = [
            now.ask("GET", path, headers=headers).status
            for path, headers in (
                ("/flow/api/tasks", now.rights),
                ("/flow/api/tasks", before.rights),
                (f"/flow/api/tasks?token={before.token}", {}),
                (f"/flow/?token={before.token}", {}),
            )
        ]
        posted = now.ask(
            "POST",
            "/flow/api/approvals/A-0001",
            headers=before.rights | {"Content-Type": "application/json"},
            body=b'{"decision": "approve"}',
        )
        with now.listen(headers={"Host": f"localhost:{now.port}", **before.rights}) as listener:
            answers.append(listener.status)

    assert (let_in.status, posted.status) == (200, 403)
    assert answers == [200, 403, 403, 302, 403]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST", "HEAD"])
def test_another_method_is_refused(served: Served, method: str) -> None:
    answer = served.ask(method, "/flow/api/tasks", headers=served.rights)

    assert answer.status == 405


def test_every_answer_carries_a_strict_policy(served: Served) -> None:
    paths = ("/flow/", "/flow/static/style.css", "/flow/api/tasks", "/flow/api/nothing")
    policies = [
        served.ask("GET", path, headers=served.rights).headers["content-security-policy"]
        for path in paths[:3]
    ]

    assert policies[0] == policies[1]
    assert policies[0] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
        "form-action 'none'"
    )
    assert policies[2] == "default-src 'none'; frame-ancestors 'none'; sandbox"


@pytest.mark.parametrize(
    "path",
    [
        *("static/../extension.py", "static/%2e%2e/extension.py", "static/..%2fextension.py"),
        *("static//etc/passwd", "static/%2fetc/passwd", "static/vendor/../../base.py"),
        *("outputs/..%2f..%2fflow.db", f"outputs/{'a' * 64}%2f..", f"outputs/{'A' * 64}"),
        *("outputs/%00", "runs/..%2f../picture", "runs/R-0001%00/picture"),
    ],
)
def test_no_path_leads_out_of_what_is_served(served: Served, path: str) -> None:
    answer = served.ask("GET", f"/flow/{path}", headers=served.rights)

    assert answer.status in (400, 403, 404)
    assert b"SQLite" not in answer.body
    assert b"import" not in answer.body


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("records?cursor=..%2f..", 400),
        ("records?cursor=9~1.2-", 400),
        ("records?limit=0", 400),
        ("records?limit=1e9", 400),
        ("records?show=nothing", 400),
        ("records?task=..%2fT-0001", 400),
        ("records?plan=a%2fb", 400),
        ("records?q=" + "x" * 5000, 400),
        ("records/local/T-0001/..%2f/1", 400),
        (f"records/local/T-0001/{'a' * 32}/0", 400),
        (f"records/local/T-0001/{'a' * 32}/1", 404),
        (f"records/%2e%2e/T-0001/{'a' * 32}/1", 404),
        (f"records/local/..%2fT-0001/{'a' * 32}/1", 400),
        ("tasks/local/T-9999", 404),
        ("tasks/local/..%2f..", 400),
        ("tasks?cursor=-1", 400),
        ("approvals?status=unknown", 400),
        ("checkpoints/..%2f..%2fflow.db", 404),
        ("checkpoints/diff?a=x&b=y", 404),
        ("checkpoints/diff", 400),
        ("runs/R-9999", 404),
        ("runs/..%2f..", 400),
    ],
)
def test_an_id_that_is_none_is_refused_with_a_sentence(
    served: Served, path: str, status: int
) -> None:
    answer = served.ask("GET", f"/flow/api/{path}", headers=served.rights)

    assert (answer.status, bool(answer.document["error"]["message"])) == (status, True)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"approve"', b"{}", b'{"decision": 1}', b'{"decision": "maybe"}'),
        *(b'{"decision": null}', b'{"decision": "approve", "comment": 5}', b"\xff\xfe", b"nan"),
        b'{"decision": "approve", "comment": "' + b"x" * 70_000 + b'"}',
    ],
)
def test_a_body_that_is_no_answer_changes_nothing(served: Served, body: bytes) -> None:
    headers = served.rights | {"Content-Type": "application/json"}
    answer = served.ask("POST", "/flow/api/approvals/A-0001", headers=headers, body=body)

    assert (answer.status, answer.document["error"]["type"]) == (400, "UsageError")


def test_an_answer_that_is_no_json_by_its_type_is_refused(served: Served) -> None:
    answer = served.ask(
        "POST",
        "/flow/api/approvals/A-0001",
        headers=served.rights | {"Content-Type": "text/plain"},
        body=b'{"decision": "approve"}',
    )

    assert answer.status == 400


def test_it_serves_nothing_but_the_dashboard(served: Served) -> None:
    paths = (
        "/api/kernels",
        "/api/contents",
        "/api/terminals",
        "/api/sessions",
        "/files/x",
        "/tree",
    )

    assert {served.ask("GET", path, headers=served.rights).status for path in paths} == {404}


def test_ctrl_c_ends_it_at_once_and_it_said_where_it_is(tmp_path: Path) -> None:
    home = tmp_path / "work" / ".flow"
    home.mkdir(parents=True)
    with Served(tmp_path, home, env={"JUPYTER_TOKEN": None}, is_cold=True) as served:
        wait_for(lambda: served.said().count("\n") == 3)  # it listens before it says so
        address = served.said().splitlines()[1].strip()
        opened = served.ask("GET", address.removeprefix(served.origin))
        os.kill(served.process.pid, signal.SIGINT)
        began = time.monotonic()
        code = served.process.wait(10)
        took_s = time.monotonic() - began

    lines = served.said().splitlines()
    assert code == 0
    assert took_s < 5
    assert lines[0] == f"the dashboard of {home}"
    assert address.startswith(f"{served.origin}/flow/?token=")
    assert opened.status == 200
    assert lines[2:] == ["Ctrl-C ends it; everything it shows stays where it is."]
    assert [*home.iterdir()] == []


def test_a_port_that_is_none_is_refused(cli: Cli) -> None:
    done = cli("serve", "--port", "70000")

    assert done.code == 2
    assert "a port is a number from 0 to 65535" in done.err


def test_it_is_known_to_jupyter_by_what_the_wheel_installs() -> None:
    root = Path(__file__).parents[2]
    setting = json.loads((root / "serverconfig" / "flow_kernel.json").read_text("utf-8"))
    package = json.loads((root / "labextension" / "package.json").read_text("utf-8"))
    entry = root / "labextension" / package["jupyterlab"]["_build"]["load"]

    extensions = ("flow_kernel.apps.server", "flow_kernel.apps.sandbox.extension")
    assert setting == {"ServerApp": {"jpserver_extensions": dict.fromkeys(extensions, True)}}
    assert f'window._JUPYTERLAB["{package["name"]}"]' in entry.read_text("utf-8")
