"""ElasticMQ, a Java program: queues as those of Amazon SQS. It forgets them when it ends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import missing, require
from tests.servers.process import Started, free_port, listens, shared, start, wait_for

SOURCES = Path(__file__).parent.parent / "java" / "elasticmq"
LIBRARIES = Path(__file__).parent.parent.parent / ".cache" / "java" / "elasticmq"
ACCOUNT = "000000000000"
REGION = "us-east-1"
WHY = "ElasticMQ runs on it"


class ElasticMq(NamedTuple):
    """Where it is. Tests tell their queues apart by a prefix of their own. It takes any credentials."""

    port: int

    @property
    def endpoint(self) -> str:
        """What requests are sent to."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, queue: str) -> str:
        """Of a queue."""
        return f"{self.endpoint}/{ACCOUNT}/{queue}"


def _libraries() -> Path:
    """Maven fetches them once."""
    maven = require("mvn", WHY)
    ready = LIBRARIES / "pom.xml"
    if not ready.exists() or ready.read_bytes() != (SOURCES / "pom.xml").read_bytes():
        command = (
            maven,
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={LIBRARIES}",
        )
        done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            missing(f"ElasticMQ could not be fetched: {(done.stdout + done.stderr)[-400:]}")
        ready.write_bytes((SOURCES / "pom.xml").read_bytes())
    return LIBRARIES


def _begin(home: Path) -> Started:
    java, libraries = require("java", WHY), _libraries()
    port = free_port()
    small = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    where = (f"-Dconfig.file={SOURCES / 'elasticmq.conf'}", "-cp", f"{libraries}/*")
    process = start([java, *small, *where, "org.elasticmq.server.Main"], home=home, env={"PORT": str(port)})
    wait_for(lambda: listens(port), process, home)
    return Started(process, {"port": port})


@pytest.fixture(scope="session")
def elasticmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticMq]:
    """One server for all tests."""
    require("java", WHY)
    with shared("elasticmq", tmp_path_factory, _begin) as facts:
        yield ElasticMq(int(facts["port"]))
