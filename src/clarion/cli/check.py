"""`clarion check`: is this installation fit to serve?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from clarion.cli.exit_codes import Exit
from clarion.cli.options import Config, DataDir, Json

if TYPE_CHECKING:
    from clarion.config import Settings

Finding = tuple[str, str]
"""What was looked at, and what is wrong with it; empty: nothing."""

PATIENCE_S = 10.0


def check(config: Config = None, data_dir: DataDir = None, json: Json = False) -> None:
    """Check settings, files, key, schema and every enabled integration, and find workflows that lack one.

    The exit code is 1 if a check fails.

    \b
    Examples:
      clarion check --config /etc/clarion.toml
      clarion check --json | jq '.[] | select(.ok | not)'
    """
    import asyncio

    from clarion.adapters.telemetry import logs
    from clarion.cli import output
    from clarion.config import Settings

    settings = Settings.load(config, data_dir=data_dir)
    logs.set_up(settings.log.level, settings.log.format)
    findings = asyncio.run(_look(settings))
    if json:
        output.as_json([{"check": name, "ok": not wrong, "detail": wrong} for name, wrong in findings])
    else:
        _print(findings)
    if any(wrong for _, wrong in findings):
        raise typer.Exit(Exit.FAILED)


async def _look(settings: Settings) -> list[Finding]:
    from clarion.config import unsafe

    findings: list[Finding] = [("settings", "")]
    findings += [("safety", said) for said in unsafe(settings)] or [("safety", "")]
    findings += [finding async for finding in _store(settings)]
    return findings


async def _store(settings: Settings) -> AsyncIterator[Finding]:
    """The key, the schema, every enabled integration of every tenant, and what its workflows lack."""
    from contextlib import AsyncExitStack

    import msgspec

    from clarion.app.backends import broker_of, fanout_of, ledger_of, redis_of
    from clarion.app.resources import backend_tools_of, tools_of
    from clarion.errors import ClarionError
    from clarion.flow.coverage import Coverage

    if missing := settings.missing_database:
        yield "database", f"there is no database {missing}: run `clarion migrate`."
        return
    async with AsyncExitStack() as ends:
        part = "key"
        try:
            given = msgspec.structs.replace(backend_tools_of(settings), dry_run=True)
            yield part, ""
            part = "database"
            ledger = await ends.enter_async_context(ledger_of(settings, given))
            yield part, ""
            part = "broker"
            await ends.enter_async_context(broker_of(settings, given, ledger))
            yield part, ""
            if settings.redis:
                part = "redis"
                server = await ends.enter_async_context(redis_of(settings, given, ledger))
                yield part, "" if server is None else server.trouble
            part = "fanout"
            fanout = await ends.enter_async_context(fanout_of(settings, given))
            yield part, fanout.state().trouble
        except ClarionError as error:
            yield part, error.detail.removeprefix(f"{part}: ")
            return
        tools = tools_of(settings, ledger, given)
        for tenant in ledger.setup.tenants.all().values():
            enabled = (i for i in ledger.setup.integrations.all(tenant.id).values() if i.enabled)
            for integration in enabled:
                yield f"integration {tenant.key}/{integration.key}", await _reach(integration, tools)
            for workflow, channels in Coverage(ledger.setup).missing(tenant.id).items():
                yield f"workflow {tenant.key}/{workflow}", _lacks(channels)


def _lacks(channels: Sequence[str]) -> str:
    names = ", ".join(f"`{channel}`" for channel in channels)
    return (
        f"no enabled integration serves {names}, so its messages wait. Create one with PUT /v1/integrations/{{key}}, "
        "or remove the channel from the workflow."
    )


async def _reach(integration: Any, tools: Any) -> str:
    """What is wrong with an integration; nothing when its provider answers."""
    from clarion import plugins
    from clarion.api import request_bodies
    from clarion.errors import ClarionError

    plugin = plugins.providers().get(integration.provider)
    if plugin is None:
        return f"there is no provider {integration.provider!r}: install its package."
    try:
        provider = plugin.open(integration, request_bodies.convert(integration.config, plugin.config), tools)
    except ClarionError as error:
        return f"its settings are wrong at {error.pointer or '#'}: {error}"
    except Exception as surprise:  # noqa: BLE001 - foreign code, whose words may hold what it was given
        return f"its provider cannot use its settings ({type(surprise).__name__}): compare them with its documentation."
    try:
        async with tools.clock.timeout(PATIENCE_S):
            await provider.ping()
    except ClarionError as error:
        return error.detail
    except TimeoutError:
        return f"no answer within {PATIENCE_S:.0f} s: check address, port and firewall."
    except Exception as surprise:  # noqa: BLE001 - foreign code again
        return f"its provider failed with {type(surprise).__name__} instead of an answer."
    finally:
        await provider.close()
    return ""


def _print(findings: list[Finding]) -> None:
    from rich.text import Text

    from clarion.cli import output

    for name, wrong in findings:
        mark = Text("✗ ", "red") if wrong else Text("✓ ", "green")
        output.out().print(mark, Text(name), Text(f": {wrong}" if wrong else ""), sep="")
