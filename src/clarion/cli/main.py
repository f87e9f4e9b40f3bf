"""The command line: which commands there are, and how an error becomes words and an exit code."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from clarion.cli import (
    budgets,
    campaigns,
    check,
    cluster,
    configuration,
    connections,
    consents,
    dead_letters,
    dev,
    devices,
    dkim,
    doctor,
    endpoints,
    events,
    explain,
    import_folder,
    inbound,
    keys,
    live,
    messages,
    migrate,
    objects,
    operations,
    pages,
    preferences,
    prices,
    quarantine,
    region,
    retention,
    runs,
    schedules,
    secrets,
    segments,
    serve,
    setup,
    sinks,
    sms_guard,
    sources,
    stats,
    store,
    suppressions,
    templates,
    tenants,
    topics,
    translations,
    trigger,
    users,
    vapid,
    verifications,
)
from clarion.cli.exit_codes import Exit
from clarion.errors import ClarionError, ConfigError


class CommandGroup(TyperGroup):
    """Turns deliberate errors into one readable line on standard error and a stable exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise _failed(error, Exit.USAGE) from None
        except ClarionError as error:
            from clarion.cli.exit_codes import for_status

            raise _failed(error, for_status(error.status)) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _failed(error: ClarionError, code: Exit) -> typer.Exit:
    from clarion.cli.output import complain

    complain(error.detail)
    return typer.Exit(code)


program = typer.Typer(
    cls=CommandGroup,
    name="clarion",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Self-hosted notification infrastructure: send an event, and Clarion notifies the right people on the right channels.",
    epilog="Start with clarion dev. Exit codes: 0 done, 1 failed, 2 usage or settings, 3 unreachable, "
    "4 not found, 5 not allowed, 6 refused, 10 plan found changes.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from clarion import __version__

        typer.echo(f"clarion {__version__}")
        raise typer.Exit


@program.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    pass


program.command("dev", short_help="Try Clarion on this machine, with demo data and a page.")(dev.dev)
program.command("serve", short_help="Serve in production.")(serve.serve)
program.command("store", short_help="Serve the database to other processes of this machine.")(store.store)
program.command("migrate", short_help="Create the database and its key, or update the schema.")(
    migrate.migrate
)
program.command("check", short_help="Check whether this installation can serve.")(check.check)
program.command("trigger", short_help="Send an event: start a workflow.")(trigger.trigger)
program.command("explain", short_help="Explain why a user was or was not notified.")(explain.explain)
program.command("stats", short_help="Show how many messages ended how.")(stats.stats)
program.command("export", short_help="Write the configuration into a folder of files.")(configuration.export)
program.command("plan", short_help="Show what a configuration folder would change.")(configuration.plan)
program.command("apply", short_help="Apply a configuration folder.")(configuration.apply)
program.command("promote", short_help="Bring documents from one server to another.")(configuration.promote)
program.command("schemas", short_help="Write JSON Schemas for editors.")(configuration.schemas)
program.command("import", short_help="Turn an export of another system into a configuration folder.")(
    import_folder.import_
)
program.command("types", short_help="Generate typed triggers in Python or TypeScript.")(configuration.types)
program.add_typer(cluster.program, name="cluster")
program.add_typer(region.program, name="region")
program.add_typer(users.program, name="users")
program.add_typer(devices.program, name="devices")
program.add_typer(preferences.program, name="preferences")
program.add_typer(pages.program, name="pages")
program.add_typer(consents.program, name="consents")
program.add_typer(topics.program, name="topics")
program.add_typer(objects.program, name="objects")
program.add_typer(live.program, name="live")
program.add_typer(suppressions.program, name="suppressions")
program.add_typer(setup.workflows, name="workflows")
program.add_typer(setup.categories, name="categories")
program.add_typer(setup.integrations, name="integrations")
program.add_typer(sources.program, name="sources")
program.add_typer(sinks.program, name="sinks")
program.add_typer(segments.program, name="segments")
program.add_typer(connections.program, name="connections")
program.add_typer(secrets.program, name="secrets")
program.add_typer(templates.program, name="templates")
program.add_typer(translations.program, name="translations")
program.add_typer(prices.program, name="prices")
program.add_typer(budgets.program, name="budgets")
program.add_typer(sms_guard.program, name="sms-guard")
program.add_typer(verifications.program, name="verifications")
program.add_typer(retention.program, name="retention")
program.add_typer(tenants.program, name="tenants")
program.add_typer(events.program, name="events")
program.add_typer(runs.program, name="runs")
program.add_typer(campaigns.program, name="campaigns")
program.add_typer(schedules.program, name="schedules")
program.add_typer(endpoints.program, name="endpoints")
program.add_typer(messages.program, name="messages")
program.add_typer(dead_letters.program, name="dead-letters")
program.add_typer(operations.program, name="operations")
program.add_typer(inbound.program, name="inbound")
program.add_typer(quarantine.program, name="quarantine")
program.add_typer(keys.program, name="keys")
program.add_typer(vapid.program, name="vapid")
program.add_typer(dkim.program, name="dkim")
program.add_typer(doctor.program, name="doctor")
