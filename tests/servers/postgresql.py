"""A PostgreSQL of the tests' own. It forgets nothing while it runs, but does not wait for the disk."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

from tests.needs import missing
from tests.servers.process import Started, free_port, run, shared, start, wait_for

USER = "postgres"
QUICK = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class PostgreSql(NamedTuple):
    """Where it is. Anybody on this machine may log in as `app`, the superuser."""

    port: int

    def url(self, database: str = "postgres") -> str:
        """For Clarion and for clients."""
        return f"postgresql://app@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """The URL of a new database without any tables."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.url(database)


def programs() -> Path:
    """The folder of the programs: the one in POSTGRESQL_PROGRAMS (see `make test-postgresql`), or of the newest PostgreSQL that
    Debian installed; without one the test is skipped, or fails in CI."""
    if named := os.environ.get("POSTGRESQL_PROGRAMS"):
        return Path(named)
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not found:
        missing("PostgreSQL is not installed: a database server to run on")
    return found[-1].parent


def initialised(home: Path) -> Path:
    """A new cluster in `home`."""
    data = home / "data"
    run(
        [
            programs() / "initdb",
            "-D",
            data,
            "-U",
            "app",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ],
        home=home,
        user=USER,
    )
    return data


def serve(home: Path, port: int, options: tuple[str, ...] = QUICK) -> subprocess.Popen[bytes]:
    """Start the cluster in `home`; returns when it answers."""
    where = ("-D", home / "data", "-k", home, "-p", str(port), "-c", "listen_addresses=127.0.0.1")
    process = start(
        [programs() / "postgres", *where, "-c", "max_connections=200", *options], home=home, user=USER
    )
    wait_for(lambda: psycopg.connect(PostgreSql(port).url()).close(), process, home)
    return process


def replica(
    home: Path, port: int, of: PostgreSql, options: tuple[str, ...] = QUICK
) -> subprocess.Popen[bytes]:
    """Copy a server into `home` and start the copy, which follows it."""
    program = programs() / "pg_basebackup"
    if not program.exists():
        pytest.skip(f"{program.parent} has no pg_basebackup to make a replica with")
    where = ("-h", "127.0.0.1", "-p", str(of.port), "-U", "app")
    how = ("-R", "-X", "stream", "-c", "fast", "--no-sync")
    run([program, "-D", home / "data", *how, *where], home=home, user=USER)
    return serve(home, port, options)


def _begin(home: Path) -> Started:
    port = free_port()
    initialised(home)
    return Started(serve(home, port), {"port": port}, signal.SIGINT)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSql]:
    """One server for all tests; each takes a database of its own."""
    programs()
    with shared("postgresql", tmp_path_factory, _begin, user=USER) as facts:
        yield PostgreSql(int(facts["port"]))
