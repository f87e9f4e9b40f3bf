"""`clarion keys`: API keys, made directly in the database: no server is needed, and no key to begin with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from clarion.cli.options import Config, DataDir, Json

if TYPE_CHECKING:
    from clarion.flow.ledger import Ledger
    from clarion.model.ids import TenantId
    from clarion.model.setup import ApiKey
    from clarion.services.api_keys import ApiKeys

T = TypeVar("T")
program = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys of this installation.")

TenantName = Annotated[
    str | None, typer.Option("--tenant", help="Key of the tenant; required if there are several.")
]


Operator = Annotated[
    bool, typer.Option("--operator", help="Operator keys: they manage tenants and belong to none of them.")
]


@program.command()
def create(
    name: Annotated[
        str,
        typer.Option("--name", help="What the key is for, so that you know what breaks when you revoke it."),
    ],
    scope: Annotated[
        str,
        typer.Option("--scope", help="admin, send (trigger, manage users) or read. Each includes the next."),
    ] = "send",
    expires_days: Annotated[
        int | None, typer.Option(min=1, help="Days until the key expires. Default: never.")
    ] = None,
    operator: Operator = False,
    tenant: TenantName = None,
    create_tenant: Annotated[
        bool,
        typer.Option(
            "--create-tenant", help="Create the tenant if it does not exist. Clarion must be stopped."
        ),
    ] = False,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Create a key. It is shown once and cannot be read again.

    The first key of an installation also creates its tenant (`default`, or the name given by --tenant).

    \b
    Examples:
      clarion keys create --name setup --scope admin
      clarion keys create --name shop --tenant acme --create-tenant
      clarion keys create --name on-call --operator
      export CLARION_API_KEY=$(clarion keys create --name ci --json | jq -r .key)
    """
    from clarion.cli import output
    from clarion.model.setup import NO_TENANT, Scope

    if scope not in set(Scope) - {Scope.OPERATOR}:
        raise typer.BadParameter("must be admin, send or read", param_hint="--scope")
    given = Scope.OPERATOR if operator else Scope(scope)

    async def work(ledger: Ledger, keys: ApiKeys, now: int) -> dict[str, Any]:
        owner = NO_TENANT if operator else await _tenant(ledger, tenant, create_tenant, config, data_dir)
        expires = None if expires_days is None else now + expires_days * 86_400_000
        key, text = await keys.create(owner, name, given, expires)  # type: ignore[arg-type]
        return {"key": text, **_view(key)}

    made = _with_ledger(config, data_dir, work)
    if json:
        output.as_json(made)
    else:
        output.out().print(made["key"])
        output.err().print(
            f"{made['id']} ({made['scope']}). It is shown only once: store it where you keep secrets."
        )


@program.command("list")
def list_(
    operator: Operator = False,
    tenant: TenantName = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """List the keys of a tenant, without the keys.

    \b
    Example:
      clarion keys list --json
    """
    from clarion.cli import output
    from clarion.model.setup import NO_TENANT

    async def work(ledger: Ledger, keys: ApiKeys, now: int) -> list[dict[str, Any]]:
        owner = NO_TENANT if operator else await _tenant(ledger, tenant, False, config, data_dir)
        return [_view(key) for key in await ledger.setup.keys.page(owner)]

    found = _with_ledger(config, data_dir, work)
    if json:
        output.as_json(found)
        return
    output.table(
        ["id", "name", "scope", "created", "last used", "state"],
        (
            (
                key["id"],
                key["name"],
                key["scope"],
                output.clock(key["created_at"]),
                output.clock(key["last_used_at"]) or "never",
                f"revoked {output.clock(key['revoked_at'])}"
                if key["revoked_at"]
                else f"until {output.clock(key['expires_at'])}"
                if key["expires_at"]
                else "live",
            )
            for key in found
        ),
    )


@program.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, from `clarion keys list`.")],
    operator: Operator = False,
    tenant: TenantName = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Revoke a key. A running Clarion refuses it within ten seconds.

    \b
    Example:
      clarion keys revoke key_4fG7kLm2QwX
    """
    from clarion.cli import output
    from clarion.model.setup import NO_TENANT

    async def work(ledger: Ledger, keys: ApiKeys, now: int) -> None:
        owner = NO_TENANT if operator else await _tenant(ledger, tenant, False, config, data_dir)
        await keys.revoke(owner, key_id)

    _with_ledger(config, data_dir, work)
    if json:
        output.as_json({"revoked": key_id})
    else:
        output.out().print(f"{key_id} is revoked.")


def _with_ledger(config: Any, data_dir: Any, work: Callable[[Ledger, ApiKeys, int], Awaitable[T]]) -> T:
    """Open the database of the settings, work, close."""
    import asyncio

    from clarion.adapters.telemetry import logs
    from clarion.app.backends import ledger_of
    from clarion.app.resources import backend_tools_of
    from clarion.config import Settings
    from clarion.errors import ConfigError
    from clarion.services.api_keys import ApiKeys

    settings = Settings.load(config, data_dir=data_dir)
    logs.set_up(settings.log.level, settings.log.format)
    if missing := settings.missing_database:
        raise ConfigError(f"there is no database {missing}: run `clarion migrate` first.")

    async def run() -> T:
        tools = backend_tools_of(settings)
        async with ledger_of(settings, tools) as ledger:
            keys = ApiKeys(ledger.setup.keys, tools.vault, tools.clock, tools.random)
            return await work(ledger, keys, tools.clock.now())

    return asyncio.run(run())


async def _tenant(ledger: Ledger, name: str | None, create: bool, config: Any, data_dir: Any) -> TenantId:
    """The named tenant, the only one, or a new one."""
    from clarion.errors import ConfigError, NotFound
    from clarion.model.ids import TenantId
    from clarion.model.setup import Tenant

    known = {tenant.key: tenant.id for tenant in ledger.setup.tenants.all().values()}
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name in known:
        return known[name]
    if known and name is None:
        raise ConfigError(f"there are several tenants: choose one with --tenant: {', '.join(sorted(known))}.")
    if known and not create:
        raise NotFound(
            f"there is no tenant {name!r}, only {', '.join(sorted(known))}. To create it, add --create-tenant."
        )
    from clarion.app.data_directory import only_process
    from clarion.config import Settings

    # A running Clarion holds the tenants in memory and would not see this one.
    with only_process(Settings.load(config, data_dir=data_dir).data_dir):
        made = await ledger.setup.tenants.put(Tenant(id=TenantId(0), key=name or "default", name=name or ""))
    return made.id


def _view(key: ApiKey) -> dict[str, Any]:
    from clarion.rules.time_format import rfc3339

    def text(at: Any) -> str | None:
        return None if at is None else rfc3339(at)

    return {
        "id": key.id,
        "name": key.name,
        "scope": str(key.scope),
        "created_at": text(key.created_at),
        "expires_at": text(key.expires_at),
        "last_used_at": text(key.last_used_at),
        "revoked_at": text(key.revoked_at),
    }
