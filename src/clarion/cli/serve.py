"""`clarion serve`: production."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clarion.cli.options import Config, DataDir

if TYPE_CHECKING:
    from clarion.app.process import App


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of `host`.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, instead of `port`.")] = None,
    data_dir: DataDir = None,
    roles: Annotated[
        str | None, typer.Option(help="What this process does, of api,worker,gateway,timers. Default: all.")
    ] = None,
    lanes: Annotated[
        str | None, typer.Option(help="Lanes that it plans and sends as a worker, like critical,high.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Channels on which it sends as a worker, like email,sms.")
    ] = None,
) -> None:
    """Serve the API, the engine and the live inboxes until SIGTERM. Refuses unsafe settings, with the reason.

    Several processes share the work on one database: each has the roles that it is given, and what one leaves undone
    when it dies, others take over. `clarion cluster` shows them.

    CLARION_* variables override the settings file; these options override both. The first SIGTERM or Ctrl-C finishes
    and records the work under way. A second one stops at once. Neither loses a message.

    \b
    Examples:
      clarion serve --config /etc/clarion.toml
      CLARION_DATA_DIR=/var/lib/clarion CLARION_PUBLIC_URL=https://notify.example clarion serve --host 0.0.0.0
      clarion serve --roles worker --lanes critical,high --port 8081
    """
    from clarion.cli import output
    from clarion.config import Settings, unsafe
    from clarion.errors import ConfigError
    from clarion.model.worker import ROLES

    settings = Settings.load(
        config,
        mode="serve",
        host=host,
        port=port,
        data_dir=data_dir,
        roles=roles,
        lanes=lanes,
        channels=channels,
    )
    reasons = list(unsafe(settings))
    if reasons:
        raise ConfigError(
            "\n".join(["refusing to serve with these settings:", *(f"- {said}" for said in reasons)])
        )
    from clarion.app.store_process import StoreProcess

    async def ready(running: App) -> None:
        given = running.settings
        said = "" if set(given.roles) == set(ROLES) else f" as {', '.join(given.roles)}"
        output.err().print(f"Clarion serves on {given.host} port {given.port}{said}.")

    with StoreProcess.beside(settings) as store:
        from clarion.app.server import serve as run  # loaded while the store process starts

        raise typer.Exit(run(settings, store=store, on_ready=ready))
