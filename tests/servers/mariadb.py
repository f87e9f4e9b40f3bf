"""A MariaDB of the tests' own, which does not wait for the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.needs import require
from tests.servers.process import Started, free_port, run, shared, start, wait_for

USER = "mysql"
WHY = "applications on it have outboxes"
SMALL = (
    "--skip-networking=0",
    "--skip-log-bin",
    "--performance-schema=off",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
)
QUICK = ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync")


class MariaDb(NamedTuple):
    """Where it is. `root` needs no password; each test makes a database of its own."""

    port: int
    ca: str
    """PEM of who signed its certificate: it speaks TLS with whoever asks."""


def _begin(home: Path) -> Started:
    port, data = free_port(), home / "data"
    own = ("--no-defaults", f"--datadir={data}")
    quick = (*SMALL, *QUICK)
    install = (require("mariadb-install-db", WHY), *own, "--auth-root-authentication-method=normal")
    run([*install, "--skip-test-db", "--skip-name-resolve", *quick], home=home, user=USER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(home / "cert.pem")
    (home / "cert.pem").chmod(0o644)
    tls = (f"--ssl-cert={home}/cert.pem", f"--ssl-key={home}/cert.pem")
    where = (f"--port={port}", "--bind-address=127.0.0.1", f"--socket={home}/mariadb.sock")
    process = start([require("mariadbd", WHY), *own, *where, *tls, *quick], home=home, user=USER)
    ask = [
        require("mariadb-admin", WHY),
        "--no-defaults",
        "--protocol=tcp",
        f"--port={port}",
        "-uroot",
        "ping",
    ]
    wait_for(lambda: run(ask, home=home), process, home)
    return Started(process, {"port": port, "ca": authority.cert_pem.bytes().decode()})


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """One server for all tests."""
    require("mariadbd", WHY)
    with shared("mariadb", tmp_path_factory, _begin, user=USER) as facts:
        yield MariaDb(int(facts["port"]), str(facts["ca"]))
