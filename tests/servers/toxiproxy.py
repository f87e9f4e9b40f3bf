"""A bad network: a proxy that is cut, slow, silent or broken when a test says so."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

from tests.needs import require_go
from tests.servers.process import free_port, home_for, listens, start, stop, wait_for


class Line:
    """One port in front of another one."""

    def __init__(self, control: int, name: str, upstream: int) -> None:
        self.port = free_port()
        self._control, self._name = control, name
        self._ask("/proxies", name=name, listen=f"127.0.0.1:{self.port}", upstream=f"127.0.0.1:{upstream}")

    def cut(self) -> None:
        """Every connection ends, and no new one is made."""
        self._ask(f"/proxies/{self._name}", enabled=False)

    def silent(self) -> None:
        """Connections stay, and nothing comes through in either direction."""
        for stream in ("upstream", "downstream"):
            self._toxic("timeout", stream, timeout=0)

    def slow(self, ms: int) -> None:
        """Everything takes longer, more or less by half of it."""
        self._toxic("latency", "downstream", latency=ms, jitter=ms // 2)

    def broken(self) -> None:
        """Every connection is reset, also each that is made from now on."""
        self._toxic("reset_peer", "downstream", timeout=0)

    def mend(self) -> None:
        """As if nothing had been."""
        self._ask("/reset")

    def _toxic(self, kind: str, stream: str, **attributes: int) -> None:
        self._ask(f"/proxies/{self._name}/toxics", type=kind, stream=stream, attributes=attributes)

    def _ask(self, path: str, **body: Any) -> None:
        url = f"http://127.0.0.1:{self._control}{path}"
        with urlopen(Request(url, json.dumps(body).encode(), method="POST"), timeout=10) as answer:
            answer.read()


@contextlib.contextmanager
def line_to(upstream: int) -> Iterator[Line]:
    """A line to a port of this machine."""
    program = require_go("toxiproxy", "a bad network")
    home, control = home_for("toxiproxy"), free_port()
    try:
        process = start([program, "-host", "127.0.0.1", "-port", str(control)], home=home)
        try:
            wait_for(lambda: listens(control), process, home)
            yield Line(control, "line", upstream)
        finally:
            stop(process.pid)
            process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)
