"""`clarion migrate --to URL`: moves everything to another database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clarion.config import Settings


def move_to(settings: Settings, origin: str, to: str, *, json: bool) -> None:
    """Everything in the file that `origin` names to the server that `to` names."""
    from clarion.adapters.extras import needs
    from clarion.adapters.system import SystemClock, SystemRandom
    from clarion.adapters.vaults.local import LocalVault
    from clarion.cli import output
    from clarion.cli.migration_progress import watched
    from clarion.errors import ConfigError

    if not origin.startswith("sqlite:"):
        raise ConfigError(
            f"--from {origin}: a move begins with a SQLite file, such as --from sqlite:clarion.db"
        )
    if not to.startswith(("postgresql:", "postgres:")):
        raise ConfigError(
            f"--to {to}: a move ends in a PostgreSQL database: --to postgresql://user@host/clarion"
        )
    with needs("postgresql", "--to: a `postgresql:` URL"):
        from clarion.adapters.ledgers.moving.move import move
    path = settings.data_dir / origin.removeprefix("sqlite:")
    random = SystemRandom()
    vault = LocalVault.from_file(settings.key_path, random, create=False)
    with watched() as progress:
        arrived = asyncio.run(
            move(path, to, vault=vault, clock=SystemClock(), random=random, progress=progress)
        )
    if json:
        output.as_json(
            {
                "from": str(path),
                "rows": arrived.rows,
                "changes": arrived.changes,
                "paused_ms": arrived.paused_ms,
            }
        )
        return
    if arrived.rows:
        output.out().print("Both databases have, row by row:")
        output.table(
            ("", "number"), [(name, f"{number:,}") for name, number in arrived.rows.items() if number]
        )
        output.out().print(
            f"{arrived.changes:,} rows were written meanwhile and copied too. Nobody could write for {arrived.paused_ms:,} ms."
        )
    output.out().print(
        "Set `database` to the new URL and start Clarion again: the file cannot be written any more."
    )


def give_up(settings: Settings, origin: str) -> None:
    """A move is not finished: the file is as if it had never begun."""
    from contextlib import closing

    from clarion.adapters.ledgers.moving.origin import Origin
    from clarion.cli import output
    from clarion.errors import ConfigError

    path = settings.data_dir / origin.removeprefix("sqlite:")
    if not path.exists():
        raise ConfigError(f"there is no database {path}")
    with closing(Origin(path)) as opened:
        if opened.moved_to:
            raise ConfigError(f"the move to {opened.moved_to} is over: it cannot be given up any more.")
        opened.unwatch()
    output.out().print("The move is given up. Drop the database that it went to.")
