"""`clarion tenants`: the tenants of a running Clarion, with an operator key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from clarion.cli.options import Connect, Json, connected, optional, with_options

program = typer.Typer(
    no_args_is_help=True,
    help="Manage the tenants of a running Clarion. Needs an operator key: `clarion keys create --operator`.",
)

Key = Annotated[str, typer.Argument(metavar="KEY", help="Key of the tenant.")]
SETTINGS = [
    optional("name", Annotated[str | None, typer.Option("--name", help="Name for people.")]),
    optional(
        "locale",
        Annotated[str | None, typer.Option("--locale", help="Language of users who have none, like de.")],
    ),
    optional(
        "timezone",
        Annotated[str | None, typer.Option("--timezone", help="Time zone of users who have none.")],
    ),
]


def _setting(command: Callable[..., None]) -> Callable[..., None]:
    """A command with an option for each of `SETTINGS`, in the place of its keyword `given`: those that are."""
    return with_options(
        command,
        "given",
        SETTINGS,
        lambda **options: {name: value for name, value in options.items() if value is not None},
    )


@program.command("list")
@connected
def list_(*, connect: Connect, json: Json = False) -> None:
    """List tenants by key.

    \b
    Example:
      clarion tenants list
    """
    from clarion.cli import output

    found = list(connect().pages("/v1/tenants", 10_000))
    if json:
        output.as_json(found)
        return
    output.table(
        ["key", "name", "locale", "time zone"],
        ((one["key"], one["name"] or "", one["locale"], one["timezone"]) for one in found),
    )


@program.command("show")
@connected
def show_(key: Key, *, connect: Connect, json: Json = False) -> None:
    """Show one tenant as JSON.

    \b
    Example:
      clarion tenants show acme
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    output.as_json(connect().get(f"/v1/tenants/{segment(key)}"))


@program.command()
@connected
@_setting
def create(key: Key, *, given: dict[str, Any], connect: Connect, json: Json = False) -> None:
    """Create a tenant while Clarion runs. Its first admin key is shown once and cannot be read again.

    \b
    Examples:
      clarion tenants create acme --name "Acme Ltd" --timezone Europe/London
      export CLARION_API_KEY=$(clarion tenants create acme)
    """
    from clarion.cli import output

    made = connect().call("POST", "/v1/tenants", {"key": key, **given})
    if json:
        output.as_json(made)
    else:
        output.out().print(made["admin_key"])
        output.err().print(
            f"The tenant {key} was created. This is its admin key. It is shown only once: store it where you keep secrets."
        )


@program.command()
@connected
@_setting
def update(key: Key, *, given: dict[str, Any], connect: Connect, json: Json = False) -> None:
    """Change some settings of a tenant.

    \b
    Example:
      clarion tenants update acme --name "Acme Group"
    """
    from clarion.cli import output
    from clarion.cli.client import segment

    if not given:
        raise typer.BadParameter("give at least one change: --name, --locale or --timezone")
    changed = connect().call("PATCH", f"/v1/tenants/{segment(key)}", given)
    if json:
        output.as_json(changed)
    else:
        output.out().print(f"The tenant {key} was changed.")
