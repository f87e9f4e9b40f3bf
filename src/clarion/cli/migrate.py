"""`clarion migrate`: data directory, key file and database schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clarion.cli.options import Config, DataDir, Json

if TYPE_CHECKING:
    from pathlib import Path

    from clarion.adapters.ledgers.migrate import Migration, Progress
    from clarion.config import Settings


def migrate(
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Keep no copy of the database as it was before the update.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="Move everything to this database, such as postgresql://user@host/clarion."
        ),
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--from", help="Where the move begins. Default: `database` of the settings.")
    ] = None,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Give up a move that is not finished, and go on with the file.")
    ] = False,
) -> None:
    """Create the data directory, its keys and its database, or update the database to this version.

    On a PostgreSQL server the tables are made, or updated while this version and the one before go on serving.
    Stop Clarion first where the database is a file. An update copies the database before it begins, and compares how much is
    in it before and after.
    If it was interrupted, run the command again: it goes on. Back up the key file and the keyring: without them nothing in
    the database can be read.

    With --to it moves everything to a PostgreSQL database instead, most of it while Clarion runs. It goes on where it was
    interrupted, compares every row, and keeps others from writing only for the last changes. Then set `database` and start Clarion
    again.

    \b
    Examples:
      clarion migrate --data-dir /var/lib/clarion
      clarion migrate --config /etc/clarion.toml && clarion serve --config /etc/clarion.toml
      clarion migrate --from sqlite:clarion.db --to postgresql://clarion@db.example.com/clarion
    """
    from clarion.adapters.ledgers.schema import REVISION
    from clarion.adapters.ledgers.sqlite.keyring_binding import keyring_path
    from clarion.app.data_directory import only_process
    from clarion.cli import moving, output
    from clarion.cli.migration_progress import watched
    from clarion.config import Settings

    settings = Settings.load(config, data_dir=data_dir)
    if give_up:
        moving.give_up(settings, origin or settings.database)
        return
    if to is not None:
        moving.move_to(settings, origin or settings.database, to, json=json)
        return
    if settings.database.startswith("postgresql:"):
        _on_server(settings, json=json)
        return
    new = not settings.database_path.exists()
    keyring = keyring_path(settings.database_path)
    first_keyring = not keyring.exists()
    make_directory(settings.data_dir)
    with only_process(settings.data_dir), watched() as progress:
        done = prepare(settings, copy=not no_backup, progress=progress)
    updated = done if done is not None and done.since is not None else None
    if json:
        output.as_json(
            {
                "database": str(settings.database_path),
                "key_file": str(settings.key_path),
                "keyring": str(keyring),
                "created": new,
                "schema": {"before": updated.since if updated else None, "now": REVISION},
                "backup": updated.copy if updated else None,
                "counts": updated.counts if updated else {},
            }
        )
        return
    if updated:
        _print(updated)
    output.out().print(f"{settings.database_path} is {'ready' if new else 'up to date'}.")
    if new:
        output.out().print(
            f"Back up {settings.key_path} and {keyring}: without them nothing in the database can be read."
        )
        output.out().print("Next: clarion keys create --name my-app --scope admin", style=output.SILENT)
    elif first_keyring:
        output.out().print(f"Created the keyring {keyring}. Back it up too: without it no user can be read.")


def _on_server(settings: Settings, *, json: bool) -> None:
    """Key and schema of a database on a server."""
    import asyncio

    from clarion.adapters.ledgers.schema import REVISION
    from clarion.app.preparation import prepare_server
    from clarion.cli import output

    make_directory(settings.data_dir)
    before = asyncio.run(prepare_server(settings.database, settings.key_path))
    if json:
        output.as_json(
            {
                "key_file": str(settings.key_path),
                "created": before is None,
                "schema": {"before": before, "now": REVISION},
            }
        )
    elif before is None:
        output.out().print("The database is ready.")
        output.out().print(
            f"Copy {settings.key_path} to every machine that runs Clarion on this database, and back it up: without it nothing "
            "in the database can be read."
        )
    elif before < REVISION:
        output.out().print(f"Updated from schema {before} to {REVISION}.")
    else:
        output.out().print("The database is up to date.")


def _print(updated: Migration) -> None:
    """What is in the database, before and after the same."""
    from clarion.adapters.ledgers.schema import REVISION
    from clarion.cli import output

    output.out().print(
        f"Updated from schema {updated.since} to {REVISION}. Before and after the update there are:"
    )
    output.table(("", "number"), [(name, f"{number:,}") for name, number in updated.counts.items() if number])
    if updated.copy:
        output.out().print(
            f"{updated.copy} is the database as it was. Delete it when you no longer need to go back."
        )


def make_directory(data_dir: Path) -> None:
    """The data directory, for this user only, unless it is there. ConfigError when it cannot be made."""
    from clarion.errors import ConfigError

    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"the data directory {data_dir} cannot be created ({error.strerror}): choose another one with --data-dir."
        ) from None


def prepare(settings: Settings, *, copy: bool = False, progress: Progress | None = None) -> Migration | None:
    """The data directory of these settings, see `app.preparation`."""
    from clarion.app import preparation

    return preparation.prepare(settings.database_path, settings.key_path, copy=copy, progress=progress)
