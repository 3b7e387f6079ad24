"""Whom the record of an answer names: a proven name, or whose server it is and the way in."""

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from flow_kernel.apps.server.who import NOBODY, who_asks
from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from flow_kernel.store.contract import ApprovalRow
from tests.dashboard import DEADLINE_S, Served

pytest.importorskip("jupyter_server")
pytestmark = pytest.mark.usefixtures("servers")

AT = "2026-11-21T10:00:00.000Z"
PASSWORD = "sesame"
NAMED = """
from jupyter_server.auth.identity import PasswordIdentityProvider, User

class Named(PasswordIdentityProvider):
    def generate_anonymous_user(self, handler):
        return User(username="ann@example.org", name="Ann Example")

c.ServerApp.identity_provider_class = Named
"""
WITH_PASSWORD = """
from jupyter_server.auth import passwd
c.PasswordIdentityProvider.hashed_password = passwd("sesame", "sha256")
c.PasswordIdentityProvider.token = ""
"""
ME = getpass.getuser()


@contextmanager
def server(root: Path, config: str = "", **env: str | None) -> Iterator[Served]:
    """One with this configuration, and three open questions."""
    home = Home(root / "work" / ".flow")
    flow = flow_of(home, author="ann")
    with flow.store.write() as change:
        for _ in range(3):
            change.put_approval(_question(change.new_approval_id()), at=AT)
    flow.close()
    (root / "config").mkdir()
    (root / "config" / "jupyter_server_config.py").write_text(config, encoding="utf-8")
    with Served(root, home.root, env=env) as served:
        yield served


def _question(approval_id: str) -> ApprovalRow:
    return ApprovalRow(
        approval_id=approval_id,
        plan_id="local",
        task_id="T-0001",
        step=None,
        message="Go on?",
        code_sha256=None,
        payload_sha256=None,
        approval_hash="b" * 64,
        level="advisory",
        requested_by="agent",
        requested_at=AT,
        session="c" * 32,
    )


def decided_by(served: Served, approval_id: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """Whom the answer and the page name."""
    sent = {"Content-Type": "application/json", **headers}
    answer = served.ask(
        "POST", f"/flow/api/approvals/{approval_id}", headers=sent, body=b'{"decision":"approve"}'
    )
    assert answer.status == 200, answer.body
    seen = served.ask("GET", "/flow/api/overview", headers=headers).document["user"]
    return answer.document["decided_by"], seen


def logged_in(served: Served, password: str) -> dict[str, str]:
    """The headers of a browser that has given the password."""
    page = served.ask("GET", "/login")
    xsrf = page.cookies.partition("_xsrf=")[2].partition(";")[0]
    connection = HTTPConnection("localhost", served.port, timeout=DEADLINE_S)
    try:
        connection.request(
            "POST",
            "/login",
            body=urlencode({"password": password, "_xsrf": xsrf}),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": page.cookies,
            },
        )
        found = connection.getresponse()
        found.read()
        cookies = [v.partition(";")[0] for k, v in found.getheaders() if k.lower() == "set-cookie"]
    finally:
        connection.close()
    return {"Cookie": "; ".join([page.cookies, *cookies]), "X-XSRFToken": xsrf}


def test_who_has_nothing_but_the_token_answers_as_the_user_whose_server_it_is(
    tmp_path: Path,
) -> None:
    with server(tmp_path) as served:
        by_token = decided_by(served, "A-0001", served.rights)
        page = served.ask("GET", f"/flow/?token={served.token}")
        xsrf = page.cookies.partition("_xsrf=")[2].partition(";")[0]
        by_cookie = decided_by(served, "A-0002", {"Cookie": page.cookies, "X-XSRFToken": xsrf})

    assert by_token == by_cookie == (f"{ME} (dashboard, token)",) * 2


def test_a_name_that_the_identity_provider_has_is_kept(tmp_path: Path) -> None:
    with server(tmp_path, NAMED) as served:
        assert decided_by(served, "A-0001", served.rights) == ("ann@example.org",) * 2


def test_who_gave_the_password_of_the_server_is_said_to_have(tmp_path: Path) -> None:
    with server(tmp_path, WITH_PASSWORD, JUPYTER_TOKEN=None) as served:
        found = decided_by(served, "A-0001", logged_in(served, PASSWORD))

    assert found == (f"{ME} (dashboard, password)",) * 2


def test_nobody_is_named_where_everybody_is_let_in() -> None:
    invented = SimpleNamespace(username="0" * 32, name="Anonymous Io", display_name="Anonymous Io")
    either = SimpleNamespace(token="t", hashed_password="argon2:x")
    found = [
        who_asks(invented, SimpleNamespace(token="", hashed_password=""), has_token=False),
        who_asks(invented, either, has_token=False),
        who_asks(invented, either, has_token=True),
        who_asks(None, either, has_token=True),
        who_asks(SimpleNamespace(username="a\nb" * 100), either, has_token=True),
    ]

    assert found[:4] == [
        NOBODY,
        f"{ME} (dashboard, token or password)",
        f"{ME} (dashboard, token)",
        f"{ME} (dashboard, token)",
    ]
    assert (len(found[4]) <= 100, "\n" in found[4]) == (True, False)
