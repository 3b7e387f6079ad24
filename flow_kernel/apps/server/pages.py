"""The pages of the dashboard: the one that people open, its files, and frames for rich content.

Added to a server by `extension`.

What cells displayed and pictures of runs are documents of their own, shown in `<iframe sandbox>`.
Their own policy holds wherever they are opened: no script, no origin, nothing from elsewhere. A
`srcdoc` would inherit the policy of the page around it, which lets no style in.
"""

import hashlib
import re
from html import escape
from pathlib import Path
from typing import Any, Final

from jupyter_server.auth.decorator import authorized
from tornado import web

from flow_kernel.apps.server.base import PAGE_POLICY, Guarded, status_of
from flow_kernel.errors import FlowError
from flow_kernel.records.kept_outputs import IMAGES
from flow_kernel.workflow.picture_stored import draw

WEB: Final = Path(__file__).parent / "web"
FRAME_POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
_OBJECT: Final = re.compile(r"[0-9a-f]{64}\Z")
_MOST_BYTES: Final = 16 * 2**20
_TYPES: Final = {".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FRAME_STYLE: Final = (
    ":root{color-scheme:light dark}body{margin:8px;font:13px/1.5 system-ui,sans-serif}"
    "table{border-collapse:collapse}td,th{padding:.2em .6em;text-align:right}"
    "tr+tr{border-top:1px solid #8883}pre{white-space:pre-wrap;overflow-wrap:anywhere}"
    "img,svg{max-width:100%}"
)


class _Page(Guarded):
    """A page with a strict policy."""

    policy = PAGE_POLICY

    @property
    def content_security_policy(self) -> str:
        """Where it may load from: this server alone."""
        return self.policy

    def set_default_headers(self) -> None:
        """Also: no address of ours leaves in a Referer."""
        super().set_default_headers()
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")

    async def prepare(self, **options: Any) -> None:
        """As each handler, and no foreign Origin may ask."""
        await super().prepare(**options)
        if not self._finished and not self.check_origin():
            raise web.HTTPError(404)


class Index(_Page):
    """The page; which part of it is seen stands behind the `#` of the address."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The page, and the cookie that answers need."""
        if not self.request.path.endswith("/"):
            self.redirect(f"{self.request.path}/", permanent=False)
            return
        _ = self.xsrf_token
        text = (WEB / "index.html").read_text("utf-8")
        self.set_header("Cache-Control", "no-store")
        await self.finish(text.replace("{base}", escape(str(self.base_url), quote=True)))


class File(_Page, web.StaticFileHandler):
    """Scripts and style of the page."""

    def initialize(self) -> None:  # type: ignore[override]  # there is one folder
        """Serve what lies in `web`."""
        super().initialize(path=str(WEB))

    @web.authenticated
    @authorized
    async def get(  # type: ignore[override]  # a decorator without types
        self, path: str, include_body: bool = True
    ) -> None:
        """One file."""
        await web.StaticFileHandler.get(self, path, include_body)

    @web.authenticated
    @authorized
    async def head(self, path: str) -> None:  # type: ignore[override]  # as above
        """Its headers."""
        await web.StaticFileHandler.get(self, path, include_body=False)

    def get_content_type(self) -> str:
        """By its name, whatever the machine knows of types."""
        suffix = Path(str(self.absolute_path)).suffix
        return _TYPES.get(suffix, "text/plain; charset=utf-8")

    def set_extra_headers(self, path: str) -> None:
        """A browser asks again, and is mostly told that nothing is new."""
        self.set_header("Cache-Control", "no-cache")


class _Frame(_Page):
    """A document that is shown in a sandboxed frame."""

    policy = FRAME_POLICY

    async def show(self, body: str) -> None:
        """Answer with a page around `body`, which is HTML of anybody."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        await self.finish(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>output</title>'
            f"<style>{_FRAME_STYLE}</style><body>{body}"
        )


class OutputFrame(_Frame):
    """What a cell displayed, by its checksum; `?mime=` says what it is."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """The image itself, or a page around the text."""
        if _OBJECT.match(name) is None:
            raise web.HTTPError(404)
        path = self.dashboard.home.outputs_dir / name[:2] / name
        try:
            data = await self.in_thread(lambda: _read(path))
        except OSError:
            raise web.HTTPError(404) from None
        if hashlib.sha256(data).hexdigest() != name:
            raise web.HTTPError(404)
        for mime, begin in IMAGES.items():
            if data.startswith(begin):
                self.set_header("Content-Type", mime)
                await self.finish(data)
                return
        text, mime = data.decode("utf-8", "replace"), self.word("mime")
        if mime in ("text/html", "image/svg+xml"):
            await self.show(text)
        else:
            await self.show(f"<pre>{escape(text)}</pre>")


class RunFrame(_Frame):
    """The graph of a run."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """The picture."""
        try:
            html = await self.in_thread(lambda: draw(self.dashboard.flow(), name))
        except FlowError as error:
            raise web.HTTPError(status_of(error)) from None
        await self.show(html)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)
