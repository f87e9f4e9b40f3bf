"""`clarion store`: the database in a process of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.options import Config, DataDir


def store(
    config: Config = None,
    data_dir: DataDir = None,
    socket: Annotated[
        str, typer.Option(help="Where the other processes find it, relative to the data directory.")
    ] = "store.sock",
) -> None:
    """Open the database and serve it to other Clarion processes of this machine, until SIGTERM.

    Start `clarion serve` with `database = "unix:store.sock"` beside it, once or several times with different ports. They
    share the work; what one of them leaves undone, another takes over. Only the same user can reach the socket.

    \b
    Examples:
      clarion store --data-dir /var/lib/clarion
      CLARION_DATABASE=unix:store.sock clarion serve --data-dir /var/lib/clarion
    """
    from pathlib import Path

    from clarion.app.store import run_store
    from clarion.cli import output
    from clarion.config import Settings
    from clarion.errors import ConfigError

    settings = Settings.load(config, data_dir=data_dir)
    if missing := settings.missing_database:
        raise ConfigError(f"there is no database {missing}: run `clarion migrate` first.")

    async def ready(path: Path) -> None:
        output.err().print(f"Clarion's store answers at {path}.")

    raise typer.Exit(run_store(settings, socket, on_ready=ready))
