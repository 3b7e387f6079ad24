"""The mirror `otlp`: each task as a file of OpenTelemetry spans, for any tool that reads OTLP/JSON.

Made by `session.mirrors` through its entry point.
"""

from collections.abc import Iterable, Mapping

import orjson

from flow_kernel._version import __version__
from flow_kernel.records.home import Home
from flow_kernel.session.mirrors import write_durably
from flow_kernel.session.otlp import document


class OtlpMirror:
    """Writes `.flow/mirrors/otlp/<plan>/<task>.json`, whole each time."""

    def __init__(self, home: Home) -> None:
        self._folder = home.root / "mirrors" / "otlp"

    def deliver(self, log: str, records: Iterable[Mapping[str, object]]) -> None:
        """Take over one task; see `mirrors.Mirror`."""
        path = self._folder / f"{log}.json"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, orjson.dumps(document(log, records, version=__version__)))
