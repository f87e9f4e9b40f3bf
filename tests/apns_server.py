"""Pushy's mock of APNs, a Java program. It speaks HTTP/2 without negotiating it (ALPN)."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from tests.needs import missing, require

SOURCES = Path(__file__).parent / "java" / "apns"
BUILT = Path(__file__).parent.parent / ".cache" / "java" / "apns"
KEY_ID, TEAM_ID, TOPIC = "KEYID12345", "TEAMID1234", "com.example.app"
TOKEN, GONE_TOKEN = "ab" * 32, "cd" * 32
GONE_SINCE = 1_700_000_000_000
WHY = "the mock of APNs runs on it"
START_S = 60.0


class ApnsServer(NamedTuple):
    """The mock, and what it takes to talk to it."""

    port: int
    folder: Path
    """Holds `ca.pem` and what the mock says, in `log`."""
    private_key: str
    """What tokens are signed with."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://localhost:{self.port}"

    def accepted(self) -> list[list[str]]:
        """Push type, id and payload of what it took, in order."""
        lines = (self.folder / "log").read_text().splitlines()
        return [line.split("\t")[1:] for line in lines if line.startswith("ACCEPTED\t")]


def _built() -> str:
    """The class path of the mock; built when it is not there yet, or was changed."""
    java, maven = require("javac", WHY), require("mvn", WHY)
    libraries = BUILT / "libraries"
    source, built = SOURCES / "ApnsMock.java", BUILT / "ApnsMock.class"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        BUILT.mkdir(parents=True, exist_ok=True)
        get = (maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={libraries}")
        compiling = (java, "-cp", f"{libraries}/*", "-d", str(BUILT), str(source))
        for command in (get, compiling):
            done = subprocess.run(
                command, cwd=SOURCES, capture_output=True, text=True, timeout=100, check=False
            )
            if done.returncode:
                missing(f"the mock of APNs could not be built: {(done.stdout + done.stderr)[-400:]}")
    return f"{BUILT}:{libraries}/*"


@contextlib.contextmanager
def apns_server() -> Iterator[ApnsServer]:
    """The mock, running."""
    classes = _built()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = _written(folder)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            *(require("java", WHY), "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classes, "ApnsMock", str(port)),
            *(str(folder / file) for file in ("chain.pem", "key.pem", "public.pem")),
            *(KEY_ID, TEAM_ID, TOPIC, TOKEN, GONE_TOKEN),
        ]
        with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                _until_ready(folder / "log", process)
                yield ApnsServer(port, folder, key)
            finally:
                process.terminate()
                process.wait(10)


def _written(folder: Path) -> str:
    """Certificates and keys; returns the key that signs tokens."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("localhost", "127.0.0.1")
    (folder / "chain.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    served = load_pem_private_key(issued.private_key_pem.bytes(), None)
    (folder / "key.pem").write_bytes(served.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    own = ec.generate_private_key(ec.SECP256R1())
    public = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "public.pem").write_bytes(public)
    return own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _until_ready(log: Path, process: subprocess.Popen[bytes]) -> None:
    for _ in range(int(START_S / 0.05)):
        if "READY" in log.read_text():
            return
        if process.poll() is not None:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    raise AssertionError(f"the mock of APNs did not start: {log.read_text()[-400:]}")
