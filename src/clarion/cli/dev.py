"""`clarion dev`: everything on one port, with demo data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clarion.cli.options import DATA_DIR

if TYPE_CHECKING:
    from clarion.app.process import App

DRAIN_S = 1.0
"""Ctrl-C should feel immediate; what does not finish is picked up at the next start."""

BROWSERS = "browsers"
"""The integration of the demo that sends web pushes."""
LOOPBACK = ("127.0.0.0/8", "::1/128")
"""Webhooks and pushes are tried out against servers on the same machine."""


def dev(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    data: Annotated[
        Path, typer.Option("--data-dir", help="Data directory. Delete it to start from scratch.")
    ] = DATA_DIR,
    open_browser: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Open the page in the browser, when started from a terminal."),
    ] = True,
) -> None:
    """Try Clarion on this machine only: API, engine, live inboxes and a demo page.

    Three people, seven workflows and templates in three languages are ready. Emails, texts and pushes are captured
    instead of sent. Address and API key are in DATA/dev.json, for scripts and for the other commands.

    \b
    Examples:
      clarion dev
      clarion dev --port 9000 --data-dir /tmp/clarion --no-open
    """
    import asyncio

    from clarion.app.data_directory import only_process
    from clarion.app.listener import listen
    from clarion.app.preparation import prepare_server
    from clarion.app.store_process import StoreProcess
    from clarion.cli.migrate import make_directory, prepare
    from clarion.config import Outbound, Settings

    settings = Settings.load(
        None, mode="dev", host="127.0.0.1", port=port, data_dir=data, public_url="", drain_s=DRAIN_S
    )
    if not settings.outbound.allowed_networks:
        settings = settings.model_copy(update={"outbound": Outbound(allowed_networks=LOOPBACK)})
    began = _monotonic()
    listen(settings.host, port).close()
    make_directory(data)

    async def ready(running: App) -> None:
        dev_file = await _ready(running)
        _welcome(dev_file, data, _monotonic() - began)
        if open_browser:
            _open(dev_file["url"])

    with StoreProcess.beside(settings, prepare=True) as store:
        if settings.database.startswith("postgresql:"):
            asyncio.run(prepare_server(settings.database, settings.key_path))
        elif store is None:
            with only_process(data):
                prepare(settings)
        from clarion.app.server import serve  # loaded while the store process starts

        raise typer.Exit(serve(settings, store=store, on_ready=ready))


async def _ready(app: App) -> dict[str, Any]:
    """Seed the demo, and say in dev.json how to reach it."""
    from clarion.cli import demo
    from clarion.config import DEV_FILE

    shipped = demo.load()
    tenant = await demo.seed(app.ledger, shipped)
    await _web_push(app, tenant.id)
    path = app.settings.data_dir / DEV_FILE
    told = {
        "url": app.settings.base_url,
        "api_key": await _key(app, tenant.id, path),
        "tenant": tenant.key,
        "users": [user.id for user in shipped.users],
    }
    _write(path, told)
    return told


async def _web_push(app: App, tenant: Any) -> None:
    """A key pair of this data directory's own, so that browsers can subscribe. It is kept sealed, like every secret."""
    from clarion.adapters.webpush.vapid import new_keys
    from clarion.model.channel import Channel
    from clarion.model.setup import Integration

    if BROWSERS in app.ledger.setup.integrations.all(tenant):
        return
    keys = new_keys()
    config = {"public_key": keys.public, "private_key": keys.private, "subject": "mailto:demo@example.com"}
    await app.ledger.setup.integrations.put(
        tenant, Integration(key=BROWSERS, channel=Channel.PUSH, provider="webpush", config=config)
    )


async def _key(app: App, tenant: Any, path: Path) -> str:
    """The key of the last start if it still works, else a new one."""
    import msgspec

    from clarion.errors import Unauthenticated
    from clarion.model.setup import Scope

    try:
        text = _last_key(path)
        if (await app.keys.verify(text)).tenant == tenant:
            return text
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, Unauthenticated):
        pass
    _, text = await app.keys.create(tenant, "clarion dev", Scope.ADMIN)
    return text


def _last_key(path: Path) -> str:
    import msgspec

    return str(msgspec.json.decode(path.read_bytes())["api_key"])


def _write(path: Path, told: dict[str, Any]) -> None:
    """All or nothing, and for this user only."""
    import msgspec

    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
        file.flush()
        os.fsync(descriptor)  # else a power cut may leave an empty file behind the new name
    draft.replace(path)


def _welcome(told: dict[str, Any], data: Path, took_s: float) -> None:
    from rich.table import Table
    from rich.text import Text

    from clarion.cli import output

    console = output.out()
    facts = Table.grid(padding=(0, 3))
    facts.add_column(style=output.SILENT)
    facts.add_column()
    facts.add_row("Page", Text(told["url"], style=f"bold link {told['url']}"))
    facts.add_row("API", Text(f"{told['url']}/docs"))
    facts.add_row("API key", Text(told["api_key"]))
    facts.add_row("People", Text(", ".join(told["users"])))
    facts.add_row("Data", Text(f"{data}  (delete it to start afresh)"))
    console.print()
    console.print(
        Text("Clarion is running", style="bold green"),
        Text(f" after {took_s:.1f} s", style=output.SILENT),
        sep="",
    )
    console.print(
        "API, engine, live inboxes and pages are on this port. Email, SMS, push and chat are captured, not sent; only "
        "browsers that you subscribe on the page and webhook endpoints that you create are called."
    )
    console.print()
    console.print(facts)
    console.print()
    console.print("Try it from another terminal:", style=output.SILENT)
    console.print()
    console.print(Text(_curl(told)))
    console.print()
    console.print("Ctrl-C stops it.", style=output.SILENT)


def _curl(told: dict[str, Any]) -> str:
    return (
        f"curl {told['url']}/v1/workflows/welcome/trigger \\\n"
        f"  -H 'Authorization: Bearer {told['api_key']}' -H 'Content-Type: application/json' \\\n"
        """  -d '{"recipients": ["ada", "juergen", "misaki"], "data": {"plan": "Reader", "voucher": "HELLO-15"}}'"""
    )


def _open(url: str) -> None:
    import sys
    import webbrowser
    from threading import Thread

    if sys.stdout.isatty():
        # Some launchers wait for the browser; the engine must not.
        Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _monotonic() -> float:
    from clarion.adapters.system import SystemClock

    return SystemClock().monotonic()
