"""nginx with the configuration of `deploy`, in front of processes on this machine."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.needs import require
from tests.servers.process import free_port, home_for, listens, start, stop, wait_for

CONFIG = Path(__file__).parents[2] / "deploy/nginx.conf"


@contextlib.contextmanager
def nginx(upstreams: Mapping[str, Sequence[int]]) -> Iterator[int]:
    """The port it listens on. `upstreams`: where the servers of each are, in the place of those that the file names."""
    program = require("nginx", "a proxy in front of several processes")
    home, port = home_for("nginx"), free_port()
    text = (
        CONFIG.read_text().replace("listen 8080;", f"listen 127.0.0.1:{port};").replace("/tmp/", f"{home}/")
    )
    for name, ports in upstreams.items():
        for number, own in enumerate(ports, 1):
            text = text.replace(f"server {name}-{number}:8080", f"server 127.0.0.1:{own}")
    config = home / "nginx.conf"
    config.write_text(f"user root;\n{text}")
    command = [program, "-p", str(home), "-e", "stderr", "-c", str(config), "-g", "daemon off;"]
    try:
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        process = start(command, home=home)
        try:
            wait_for(lambda: listens(port), process, home)
            yield port
        finally:
            stop(process.pid)
            process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)
