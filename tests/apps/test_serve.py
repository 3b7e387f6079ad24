"""`jupyter flow serve`: the address that it tells to programs."""

import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.apps.running import Cli
from tests.environments import environment

pytest.importorskip("jupyter_server")

DEADLINE_S = 30.0


def test_serve_tells_programs_where_it_listens_in_one_line(cli: Cli, tmp_path: Path) -> None:
    folders = {
        f"JUPYTER_{name.upper()}_DIR": str(tmp_path / name) for name in ("config", "runtime")
    }
    home = Path.cwd() / ".flow"
    process = cli.apart(
        *("serve", "--json", "--port", "0"),
        env=environment(folders | {"JUPYTER_TOKEN": None, "BROWSER": "false"}),
        stdin=subprocess.DEVNULL,
    )
    with process:
        try:
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())
            address = urlsplit(facts["url"])
            with urlopen(facts["url"], timeout=DEADLINE_S) as page:
                status, text = page.status, page.read()
        finally:
            process.terminate()
            more, trouble = process.communicate(timeout=DEADLINE_S)

    assert facts == {
        "url": f"http://localhost:{facts['port']}/flow/?{address.query}",
        "port": address.port,
        "pid": process.pid,
        "home": str(home),
    }
    assert (len(address.query), address.query[:6], facts["port"] > 0) == (54, "token=", True)
    assert (status, b"<title>" in text, more, b"token" in trouble) == (200, True, b"", False)
    assert not home.exists()


def test_serve_says_in_its_help_what_a_program_reads(cli: Cli) -> None:
    told = " ".join(cli("serve", "--help").out.split())
    assert '{"url": …, "port": …, "pid": …, "home": …}' in told


def test_serve_tells_programs_of_an_error_in_json(cli: Cli) -> None:
    done = cli("serve", "--json", "--port", "70000")
    assert (done.code, done.document["error"]["type"]) == (2, "UsageError")
