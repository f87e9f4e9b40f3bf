"""What has to be there before the store can be opened: key, database, keyring."""

from __future__ import annotations

from pathlib import Path

from clarion.adapters.ledgers.migrate import Migration, Progress, migrate
from clarion.adapters.ledgers.sqlite.keyring_binding import open_keyring
from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault


def prepare(
    database: Path, key_path: Path, *, copy: bool = False, progress: Progress | None = None
) -> Migration | None:
    """Key, schema and keyring, each made only if it is missing. The caller holds the data directory.

    What the database was updated from; None when it was up to date.
    """
    # A new key beside an old database would read nothing, so only a new installation gets one.
    random = SystemRandom()
    vault = LocalVault.from_file(key_path, random, create=not database.exists())
    done = migrate(database, copy=copy, progress=progress)
    open_keyring(database, vault, random).close()
    return done


async def prepare_server(url: str, key_path: Path) -> str | None:
    """Key and schema of a database on a PostgreSQL server, each made only if it is missing; the keys of people are in it.

    The schema that the database had; None: it was empty. Raises ConfigError saying what to do.
    """
    from clarion.adapters.ledgers.postgresql.address import read_address

    address = read_address(url)  # which says so when its client is not installed
    from clarion.adapters.ledgers.postgresql import revision

    found = await revision.find(address)
    LocalVault.from_file(key_path, SystemRandom(), create=found.revision is None)
    return await revision.migrate(address)
