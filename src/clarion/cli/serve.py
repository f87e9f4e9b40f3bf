"""`clarion serve`: production."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.options import Config, DataDir


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of `host`.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, instead of `port`.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the API, the engine and the live inboxes until SIGTERM. Refuses unsafe settings, with the reason.

    CLARION_* variables override the settings file; these options override both. The first SIGTERM or Ctrl-C finishes
    and records the work under way. A second one stops at once. Neither loses a message.

    \b
    Examples:
      clarion serve --config /etc/clarion.toml
      CLARION_DATA_DIR=/var/lib/clarion CLARION_PUBLIC_URL=https://notify.example clarion serve --host 0.0.0.0
    """
    from clarion.cli import output
    from clarion.config import Settings, unsafe
    from clarion.errors import ConfigError

    settings = Settings.load(config, mode="serve", host=host, port=port, data_dir=data_dir)
    reasons = list(unsafe(settings))
    if reasons:
        raise ConfigError(
            "\n".join(["refusing to serve with these settings:", *(f"- {said}" for said in reasons)])
        )
    from clarion import app

    async def ready(running: app.App) -> None:
        output.err().print(f"Clarion serves on {running.settings.host} port {running.settings.port}.")

    raise typer.Exit(app.serve(settings, on_ready=ready))
