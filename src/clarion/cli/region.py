"""`clarion region`: which of two regions works on the database of the settings file, and changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clarion.cli.options import Config, DataDir, Json

if TYPE_CHECKING:
    from clarion.config import Settings

program = typer.Typer(
    help="Show which of two regions works, take over the users of the other one, and give them back. Reads the settings file.",
    no_args_is_help=True,
)

Confirm = Annotated[
    str | None,
    typer.Option("--confirm", metavar="REGION", help="Name of the other region, for scripts: do not ask."),
]


@program.command()
def status(config: Config = None, data_dir: DataDir = None, json: Json = False) -> None:
    """Show both servers of this database: which is the primary, what the standby lacks, and what this region may do.

    \b
    Example:
      clarion region status --config /etc/clarion/paris.toml
    """
    import asyncio

    from clarion.app.region_commands import report
    from clarion.cli import output

    settings = _settings(config, data_dir)
    found = asyncio.run(report(settings))
    if json:
        output.as_json(found)
        return
    output.table(
        ["region", "server", "is", "timeline", "lacks", "last transaction"],
        [
            (
                one["region"],
                one["server"],
                one["is"],
                one["timeline"] or "",
                "" if one["lacks_bytes"] is None else f"{one['lacks_bytes']:,} bytes",
                one["last_commit_at"] or "",
            )
            for one in found["servers"]
        ],
    )
    output.out().print(found["advice"])


@program.command()
def takeover(
    config: Config = None,
    data_dir: DataDir = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="The other region did not go on without this one: spend frequency caps whole, instead of half.",
        ),
    ] = False,
    confirm: Confirm = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Let this region work on the users of the other one, which does not work any more.

    Make sure that it does not: when both work, people get messages twice. Waiting `clarion serve` processes of this
    region begin at once. In a region that has the primary already, this says that the other one has not taken over.

    \b
    Example:
      clarion region takeover --config /etc/clarion/paris.toml --complete
    """
    import asyncio

    from clarion.app.region_commands import take_over, takeover_plan
    from clarion.cli import output

    settings = _settings(config, data_dir)
    other = settings.region.other
    for line in asyncio.run(takeover_plan(settings, complete=complete)):
        output.out().print(line)
    if dry_run:
        return
    _confirmed(other, confirm, f"Nothing of region {other} works on these users any more.")
    stood = asyncio.run(take_over(settings, complete=complete))
    output.out().print(
        f"Region {settings.region.name} works on the users of {settings.region.home or settings.region.name}, on timeline {stood.timeline}."
    )


@program.command()
def giveback(
    config: Config = None,
    data_dir: DataDir = None,
    confirm: Confirm = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whether it can be done.")] = False,
) -> None:
    """Hand the users over to the other region without a loss: it has a standby of this database, and both work.

    Processes of this region stop, its standby gets the rest, and is promoted. Nothing is accepted for these users
    meanwhile, which takes seconds.

    \b
    Example:
      clarion region giveback --config /etc/clarion/paris.toml
    """
    import asyncio

    from clarion.app.region_commands import check_giveback, give_back
    from clarion.cli import output

    settings = _settings(config, data_dir)
    other = settings.region.other
    asyncio.run(check_giveback(settings))
    if dry_run:
        output.out().print(f"The standby in region {other} has caught up: these users can be given back.")
        return
    _confirmed(other, confirm, f"Processes of these users stop here, and begin in region {other}.")
    stood = asyncio.run(give_back(settings, output.out().print))
    output.out().print(
        f"Region {other} works, on timeline {stood.timeline}. Make the database server here its standby again."
    )


def _confirmed(other: str, given: str | None, said: str) -> None:
    from clarion.errors import ConfigError

    if given is None:
        given = typer.prompt(f"{said} Type {other} to confirm")
    if given != other:
        raise ConfigError(f"not confirmed: {given!r} is not the other region, {other}. Nothing was done.")


def _settings(config: Config, data_dir: DataDir) -> Settings:
    from clarion.config import Settings
    from clarion.errors import ConfigError

    settings = Settings.load(config, data_dir=data_dir)
    if not settings.region.name:
        raise ConfigError("there is one region only: set region.name, see docs/how-to/run-in-two-regions.md")
    return settings
