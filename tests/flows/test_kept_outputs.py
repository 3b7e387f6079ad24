"""What cells display, kept and shown in reports, in real kernels and a real browser."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from matplotlib.image import imread

from flow_kernel.records.home import Home
from tests.browser import picture
from tests.kernels import Kernel
from tests.promises import promise

KEEP = ("--FlowKernel.keep_outputs=True",)
PLOT = "%matplotlib inline\nimport matplotlib.pyplot as p\np.plot([1, 3])\np.show()"
TABLE = "import pandas\npandas.DataFrame({'a': [1, 2]})"
SHOW = "from IPython.display import display, HTML, JSON, Image, SVG\n"
TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3


def _kept(kernel: Kernel) -> dict[str, bytes]:
    """The files of all kept outputs, each checked against its name and its rights."""
    found = {}
    for path in Home(kernel.home).outputs_dir.glob("*/*"):
        found[path.name] = path.read_bytes()
        assert hashlib.sha256(found[path.name]).hexdigest() == path.name
        assert path.parent.name == path.name[:2]
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    return found


def _objects(kernel: Kernel) -> list[tuple[str, Any]]:
    outputs = [item for cell in kernel.logs.records("cell") for item in cell["outputs"]]
    return [(item["mime"], item.get("object")) for item in outputs if item["mime"] != "text/plain"]


@promise("record.kept")
def test_nothing_is_kept_unless_it_is_asked_for() -> None:
    with Kernel() as kernel:
        kernel.run(f"{SHOW}display(HTML('<b>1</b>'))")

        assert not (kernel.home / "objects").exists()
        assert _objects(kernel) == [("text/html", None)]


@promise("record.kept", "task.outputs")
def test_plots_and_tables_are_kept_by_checksum_and_shown_in_the_report() -> None:
    with Kernel(arguments=KEEP) as kernel:
        kernel.run("%task start Draw")
        shown = [kernel.run(cell, timeout=60) for cell in (PLOT, TABLE, TABLE)]
        kernel.run("%flow report --html r.html")
        kept, named = _kept(kernel), dict(_objects(kernel)[1:3])
        page = (kernel.cwd / "r.html").read_text("utf-8")

    (table,) = (m["content"]["data"]["text/html"] for m in shown[1].of("execute_result"))
    assert kept[named["text/html"]].decode() == table
    assert kept[named["image/png"]].startswith(b"\x89PNG")
    assert page.count('<img class="out" alt="displayed: image/png') == 1
    assert page.count('<iframe class="out" sandbox title="displayed: text/html') == 2
    assert "<table border" not in page
    assert "not kept" not in page


@promise("record.kept", "record.secrets")
def test_kept_text_is_without_its_secrets() -> None:
    with Kernel(arguments=KEEP, env={"MY_TOKEN": TOKEN}) as kernel:
        kernel.run(f"{SHOW}t = {TOKEN!r}\ndisplay(HTML(f'<b>{{t}}</b>'), JSON({{'t': [t]}}))")

        assert [mime for mime, name in _objects(kernel) if name] == [
            "text/html",
            "application/json",
        ]
        assert TOKEN[-14:].encode() not in kernel.logs.bytes()
        assert b"<b>[REDACTED" in b"".join(_kept(kernel).values())


@promise("record.kept")
def test_what_is_too_large_or_no_image_or_of_another_kind_is_only_counted() -> None:
    with Kernel(arguments=KEEP) as kernel:
        kernel.run(f"{SHOW}display(HTML('x' * 8_000_001))")
        bundle = "{'text/x-own': 'a', 'image/png': '%', 'application/json': {1: object}}"
        ran = kernel.run(f"display({bundle}, raw=True)")
        last = kernel.run("1")

        assert _kept(kernel) == {}
        assert {name for _, name in _objects(kernel)} == {None}
    assert (last.status, last.stderr + ran.stderr) == ("ok", ran.stderr)


@promise("record.kept", "disk.harmless")
def test_a_deleted_home_is_made_anew_and_a_blocked_one_is_said_once() -> None:
    with Kernel(arguments=KEEP) as kernel:
        kernel.run(f"{SHOW}import os, shutil\ndisplay(HTML('<b>1</b>'))")
        kernel.run(f"shutil.rmtree({str(kernel.home / 'objects')!r})\ndisplay(HTML('<b>2</b>'))")
        assert list(_kept(kernel).values()) == [b"<b>2</b>"]

        block = f"shutil.rmtree({str(kernel.home / 'objects')!r})\n"
        block += f"open({str(kernel.home / 'objects')!r}, 'w').close()\n"
        ran = [kernel.run(f"{block}display(HTML('<b>3</b>'))")]
        ran += [kernel.run(f"display(HTML('<b>{i}</b>'))") for i in range(3)]
        said = "".join(one.stderr for one in ran)

    assert {one.status for one in ran} == {"ok"}
    assert said.count("cannot keep outputs in") == 1
    assert "Not a directory" in said or "File exists" in said


@promise("record.kept", "transparent.sabotage")
def test_a_cell_that_ruins_the_modules_in_use_is_kept_all_the_same() -> None:
    with Kernel(arguments=KEEP) as kernel:
        kernel.run(f"{SHOW}import binascii, hashlib, os")
        ruin = "os.open = os.write = os.rename = hashlib.sha256 = binascii.a2b_base64 = None"
        kernel.run(f"{ruin}\ndisplay(HTML('<b>1</b>'))")

        assert list(_kept(kernel).values()) == [b"<b>1</b>"]


@promise("task.outputs")
def test_missing_and_damaged_outputs_are_said() -> None:
    with Kernel(arguments=KEEP) as kernel:
        kernel.run("%task start Draw")
        kernel.run(f"{SHOW}display(HTML('<b>1</b>'), HTML('<b>22</b>'))")
        files = sorted(Home(kernel.home).outputs_dir.glob("*/*"), key=lambda p: p.stat().st_size)
        one, two = (path for path in files if path.stat().st_size < 20)
        one.unlink()
        two.write_bytes(b"<b>33</b>")
        kernel.run("%flow report --html r.html")
        page = (kernel.cwd / "r.html").read_text("utf-8")

    assert (
        "kept, not shown: text/html 8 B (its file is missing),"
        " text/html 9 B (its file is damaged)" in page
    )
    assert "&lt;b&gt;33" not in page


@contextmanager
def _trap() -> Iterator[tuple[str, list[str]]]:
    """A server that nothing may reach: its address, and what did."""
    reached: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        timeout = 1  # browsers open connections that they do not use

        def handle_one_request(self) -> None:
            line = self.rfile.readline(1000).decode("latin-1").split(" ")
            reached.extend(line[1:2])
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", reached
        finally:  # a test that fails or is skipped leaves no thread behind
            server.shutdown()
            thread.join()


def _hostile(url: str) -> str:
    """HTML that tries all ways out of its frame: quotes, end tags, scripts, loads, an overlay."""
    return (
        f'"\'></iframe></body></html><script>fetch("{url}/a"); top.location="{url}/b"</script>'
        f'<img src=x onerror="fetch(\'{url}/c\')"><img src="{url}/d">'
        f'<meta http-equiv="refresh" content="0;url={url}/e"><base href="{url}/" target="_top">'
        f'<link rel="stylesheet" href="{url}/f"><style>@import "{url}/g";'
        f'body{{background:url({url}/h)}}</style><iframe src="{url}/i"></iframe>'
        f'<object data="{url}/j"></object><embed src="{url}/k"><video src="{url}/l" autoplay>'
        f'</video><form action="{url}/m" method="post" id="f"><input autofocus name="q"'
        f' onfocus="f.submit()"></form><svg onload="fetch(\'{url}/n\')"><script>fetch("{url}/o")'
        f'</script><image href="{url}/p"/></svg><link rel="prefetch" href="{url}/q">'
        f'<link rel="preconnect" href="{url}"><a href="{url}/r" ping="{url}/s">x</a>'
        '<div style="position:fixed;left:-5000px;top:-5000px;width:20000px;height:20000px;'
        'background:#f00;z-index:2147483647"></div>'
    )


@promise("task.outputs")
def test_a_hostile_output_runs_nothing_reaches_nothing_and_stays_in_its_frame(
    tmp_path: Path,
) -> None:
    with _trap() as (url, reached), Kernel(arguments=KEEP) as kernel:
        (kernel.cwd / "hostile").write_text(_hostile(url), encoding="utf-8")
        kernel.run("%task start Draw")
        kernel.run(f"{SHOW}display(HTML(open('hostile').read()))")
        kernel.run(
            'svg = f\'<svg xmlns="http://www.w3.org/2000/svg" height="99">'
            "{open(\"hostile\").read()}</svg>'\ndisplay({'image/svg+xml': svg}, raw=True)"
        )
        kernel.run("display(HTML(open('hostile').read() + '<!--' + 'x' * 5_000_000))")
        kernel.run("%flow report --html r.html")
        bare = tmp_path / "bare.html"
        bare.write_text(f'<img src="{url}/d"><script>fetch("{url}/a")</script>', encoding="utf-8")
        picture(bare)
        control = set(reached)
        reached.clear()
        shot = imread(picture(kernel.cwd / "r.html"))
        page = (kernel.cwd / "r.html").read_text("utf-8")

    assert control == {"/a", "/d"}
    assert reached == []
    assert page.count("<iframe") == 3
    assert page.count("</iframe>") == 3
    red = (shot[:, :, 0] > 0.9) & (shot[:, :, 1] < 0.1) & (shot[:, :, 2] < 0.1)
    assert red.any()
    # The frames lie in the widest column of the table; above and beside them nothing is red.
    assert not red[:150].any()
    assert not red[:, :150].any()
    assert not red[:, -15:].any()
