"""A PgBouncer of the tests' own in front of their PostgreSQL: a connection belongs to a client for one transaction."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import require
from tests.servers.postgresql import USER, PostgreSql
from tests.servers.process import Started, free_port, listens, shared, start, wait_for

CONFIG = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {home}/users
pool_mode = transaction
default_pool_size = 3
server_lifetime = 3600
"""


class PgBouncer(NamedTuple):
    """Where it is."""

    port: int

    def url(self, database: str) -> str:
        """Of a database of the server behind it."""
        return f"postgresql://app@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def pgbouncer(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSql) -> Iterator[PgBouncer]:
    """One pooler with three connections to each database, however many clients it has."""
    program = require("pgbouncer", "a pooler in front of PostgreSQL (Debian's package pgbouncer)")

    def begin(home: Path) -> Started:
        port = free_port()
        config = home / "pgbouncer.ini"
        config.write_text(CONFIG.format(server=postgresql.port, port=port, home=home))
        (home / "users").write_text('"app" ""\n')
        process = start([program, config], home=home, user=USER)
        wait_for(lambda: listens(port), process, home)
        return Started(process, {"port": port}, signal.SIGINT)

    with shared("pgbouncer", tmp_path_factory, begin, user=USER) as facts:
        yield PgBouncer(int(facts["port"]))
