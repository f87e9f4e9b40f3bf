"""Servers in Java: what they are made of, which Maven fetches once."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.needs import missing, require

SOURCES = Path(__file__).parent.parent / "java"
LIBRARIES = Path(__file__).parent.parent.parent / ".cache" / "java"
SMALL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""How a virtual machine starts soon and stays small."""


def libraries(name: str, why: str) -> Path:
    """The folder with all that `tests/java/<name>/pom.xml` names."""
    maven = require("mvn", why)
    sources, folder = SOURCES / name, LIBRARIES / name
    ready = folder / "pom.xml"
    if not ready.exists() or ready.read_bytes() != (sources / "pom.xml").read_bytes():
        command = (
            maven,
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={folder}",
        )
        done = subprocess.run(command, cwd=sources, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            missing(f"{name} could not be fetched: {(done.stdout + done.stderr)[-400:]}")
        ready.write_bytes((sources / "pom.xml").read_bytes())
    return folder
