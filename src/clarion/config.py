"""Settings: read once from `clarion.toml` and `CLARION_*`, checked, then frozen.

Nothing else in Clarion reads the environment. A later source wins: defaults, file, environment, command line.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from clarion.errors import ConfigError
from clarion.model.channel import CHANNELS, LANES, Channel, Lane
from clarion.model.worker import LEASE_MS, ROLES, Role
from clarion.rules.origins import is_origin

DEFAULT_FILE = Path("clarion.toml")
PREFIX = "CLARION_"
CLIENT_VARIABLES = frozenset({"CLARION_URL", "CLARION_API_KEY", "CLARION_CONFIG"})
"""Read by the commands that talk to a running Clarion; they are no settings."""
_SHORTEST_SECRET = 32
_POSTGRESQL = ("postgresql:", "postgres:")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
DEV_FILE = "dev.json"
"""Where `clarion dev` leaves its address and key; its presence marks a directory of demo data."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _parts(value: Any) -> Any:
    """A list from a variable, where it is separated by commas."""
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/")):
        raise ValueError("must be a URL without a path, such as https://notify.example")
    return value.rstrip("/")


class Log(_Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least urgent record that is written."""
    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: readable on a terminal, JSON lines elsewhere."""


class LimitSettings(_Section):
    """Where Clarion says "too much" instead of growing."""

    body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    """Largest request body; over it 413."""
    batch: int = Field(default=1_000, ge=1, le=10_000)
    """Most events or users in one call."""
    waiting_connections: int = Field(default=4_000, ge=10)
    """Most HTTP connections that wait for their clients, of this process; one more ends the one that waits longest."""
    waiting_connections_per_client: int = Field(default=1_000, ge=10)
    """The same of one address."""


class GatewaySettings(_Section):
    """The in-app edge."""

    connections: int = Field(default=19_000, ge=1)
    """Most sockets of this process."""
    connections_per_user: int = Field(default=20, ge=1)
    """Most sockets of one user."""
    reconnects_per_s: int = Field(default=500, ge=1)
    """How many sockets a process that stops tells to come back each second."""
    allowed_origins: tuple[str, ...] = ()
    """Web pages of other origins that may open an inbox, e.g. `https://shop.example`; `*`: all."""

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _parts(value)

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not is_origin(one):
                raise ValueError(
                    f"{one!r} is not an origin: write scheme and host, as in https://shop.example, or *"
                )
        return value


class RegionSettings(_Section):
    """One of two regions: where this process runs, and whose users are in its database."""

    name: str = ""
    """The region in which this process runs; empty: there is only one."""
    names: tuple[str, ...] = ()
    """Both regions, the same in both: they decide where a user is at home."""
    home: str = ""
    """Whose users are in `database`; empty: those of `name`. Another one where they are taken over."""
    other_database: str = ""
    """URL of the server of the same database in the other region: of its standby, or of its primary."""
    other_api: tuple[str, ...] = ()
    """Where the users of the other home are served, to hand events for them over; empty: such events are refused."""
    secret: SecretStr = SecretStr("")
    """Known in both regions: by it one takes events from the other."""
    alone_after_s: float = Field(default=5.0, ge=0)
    """How long commits wait for a standby that is away, before this region goes on without it; 0: until it is back."""

    @property
    def other(self) -> str:
        """The other region."""
        return next((one for one in self.names if one != self.name), "")

    @field_validator("names", "other_api", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _parts(value)

    @field_validator("other_api")
    @classmethod
    def _are_web_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple([_web_address(one) for one in value])

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.name:
            if self.names or self.home or self.other_database:
                raise ValueError("name must say in which region this process runs")
            return self
        if len(set(self.names)) != 2 or self.name not in self.names:
            raise ValueError('names must be two regions, this one among them, such as ["paris", "oslo"]')
        if self.home and self.home not in self.names:
            raise ValueError(f"home must be one of names: {' or '.join(self.names)}")
        if self.other_api and len(self.secret.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(
                f"other_api needs a secret of at least {_SHORTEST_SECRET} characters, the same in both regions"
            )
        if not self.other_database.startswith(_POSTGRESQL):
            raise ValueError(
                "other_database must be the postgresql: URL of this database's server in the other region"
            )
        return self


class Outbound(_Section):
    """Calls to addresses that users and tenants gave: webhooks, push endpoints, files to attach, integrations."""

    allowed_networks: tuple[str, ...] = ()
    """Ranges that may be called although they are not public, e.g. `10.20.0.0/16`."""
    disable_endpoints_after_days: float = Field(default=5, gt=0)
    """How long a webhook endpoint may fail without a single success before nothing more is sent to it."""

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _parts(value)

    @field_validator("allowed_networks")
    @classmethod
    def _are_ranges(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            ip_network(one)  # its ValueError says what is wrong
        return value


class Inbound(_Section):
    """Mailboxes in which returned mail arrives. Both may be read; without either, hand mail in over HTTP."""

    maildir: Path | None = None
    """Maildir to read, with `new` and `cur` in it."""
    imap_host: str = ""
    """IMAP server to read; empty: none."""
    imap_port: int = Field(default=993, ge=1, le=65_535)
    """Its port."""
    imap_user: str = ""
    """Who may read the folder."""
    imap_password: SecretStr = SecretStr("")
    """Their password; better in the environment than in the file."""
    imap_folder: str = "INBOX"
    """The folder."""
    imap_security: Literal["tls", "starttls", "none"] = "tls"
    """How the connection is protected; `none` only on this machine."""
    imap_ca: Path | None = None
    """PEM file of the authority that signed the server's certificate; empty: those the system trusts."""
    imap_oauth_token_url: str = ""
    """Where OAuth 2.0 access tokens come from, instead of a password; they are renewed before they run out."""
    imap_oauth_client_id: str = ""
    """The client registered there."""
    imap_oauth_client_secret: SecretStr = SecretStr("")
    """Its secret; empty: a public client."""
    imap_oauth_refresh_token: SecretStr = SecretStr("")
    """Of the mail account; empty: tokens are asked for in the client's own name (client credentials)."""
    imap_oauth_scope: str = ""
    """What the tokens are for, as their server names it; empty: what was granted."""
    poll_s: float = Field(default=30.0, gt=0)
    """Pause between two looks into an empty mailbox."""
    tenant: str = ""
    """Key of the tenant who is shown what is unclear; empty: the oldest."""

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        if self.imap_security == "none" and self.imap_host and not _is_loopback(self.imap_host):
            raise ValueError("imap_security must be tls or starttls for a server that is not on this machine")
        if self.imap_host and not self.imap_user:
            raise ValueError("imap_host needs imap_user, and imap_password or imap_oauth_token_url")
        return self

    @model_validator(mode="after")
    def _has_one_login(self) -> Self:
        secrets = (self.imap_oauth_refresh_token, self.imap_oauth_client_secret)
        has_secret = any(secret.get_secret_value() for secret in secrets)
        if not self.imap_oauth_token_url:
            if self.imap_oauth_client_id or has_secret:
                raise ValueError(
                    "the imap_oauth settings need imap_oauth_token_url, the URL that issues tokens"
                )
            return self
        if self.imap_password.get_secret_value():
            raise ValueError("set either imap_password or imap_oauth_token_url, not both")
        if not (self.imap_oauth_client_id and has_secret):
            raise ValueError(
                "imap_oauth_token_url needs imap_oauth_client_id, and imap_oauth_refresh_token or imap_oauth_client_secret"
            )
        return self


class Settings(_Section):
    """All settings of one process."""

    mode: Literal["dev", "serve"] = "serve"
    """Set by the command: `clarion dev` or `clarion serve`."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    public_url: str = ""
    """How people and devices reach this installation, e.g. `https://notify.example`."""
    allow_plain_http: bool = False
    """Acknowledges that a public address is served without TLS."""
    allow_advance: bool = False
    """Whether the waits of runs may be skipped through the API; in `clarion dev` they always may."""
    data_dir: Path = Path("clarion-data")
    """Directory of the database and the key file."""
    database: str = "sqlite:clarion.db"
    """URL of the database; `sqlite:` and a file, relative to `data_dir`, or a `postgresql:` server."""
    roles: tuple[Role, ...] = ROLES
    """What this process does: `api`, `worker`, `gateway`, `timers`. With fewer than all, others on the same database do
    the rest."""
    lanes: tuple[Lane, ...] = LANES
    """Lanes that a worker plans and sends."""
    channels: tuple[Channel, ...] = CHANNELS
    """Channels on which a worker sends."""
    store_process: bool | Literal["auto"] = "auto"
    """Whether a `sqlite:` database gets a process of its own; `auto`: when there is more than one CPU."""
    broker: str = "database:"
    """URL of the broker, where accepted events wait until they are planned; `database:` is the database itself."""
    fanout: str = "memory:"
    """URL of what carries inbox changes to the live inboxes; `memory:` reaches those of this process, `unix:` those of
    all processes on the store behind that socket, `redis:`, `rediss:` and `postgresql:` those of all machines. What is not set
    follows `redis`, or `database` where that is `unix:` or `postgresql:`."""
    redis: str = ""
    """URL of the Redis or Valkey server through which processes share rate limits; empty: none."""
    key_file: Path = Path("installation.key")
    """The key that wraps all data keys, relative to `data_dir`. Whoever has it and the database reads everything."""
    lease_s: float = Field(default=LEASE_MS / 1_000, ge=1)
    """How long this process may be silent before others take over what it does."""
    drain_s: float = Field(default=10.0, ge=0)
    """How long a stop waits for what is under way."""
    unready_s: float = Field(default=0.0, ge=0)
    """How long a stop goes on answering after `/readyz` says that the process is not ready: until proxies know."""
    log: Log = Log()
    limits: LimitSettings = LimitSettings()
    gateway: GatewaySettings = GatewaySettings()
    outbound: Outbound = Outbound()
    inbound: Inbound = Inbound()
    region: RegionSettings = RegionSettings()

    @model_validator(mode="before")
    @classmethod
    def _reaches_every_inbox(cls, given: Any) -> Any:
        """Whoever shares a store shares its live inboxes."""
        if not isinstance(given, dict) or "fanout" in given:
            return given
        if given.get("redis"):
            return {**given, "fanout": given["redis"]}
        if str(given.get("database")).startswith(("unix:", "postgresql:")):
            return {**given, "fanout": given["database"]}
        return given

    @field_validator("roles", "lanes", "channels", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _parts(value)

    @field_validator("roles", "lanes", "channels")
    @classmethod
    def _are_some(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must name at least one; leave it out for all")
        return tuple(dict.fromkeys(value))

    @field_validator("public_url")
    @classmethod
    def _is_a_web_address(cls, value: str) -> str:
        return _web_address(value)

    @field_validator("database", "broker", "fanout")
    @classmethod
    def _has_a_scheme(cls, value: str) -> str:
        if not _SCHEME.match(value):
            raise ValueError("must be a URL that begins with its scheme, such as sqlite:clarion.db")
        if value == "sqlite:" or value.startswith("sqlite://"):
            raise ValueError("must name a file: sqlite:clarion.db in data_dir, or sqlite:/path/to/clarion.db")
        return value

    @field_validator("redis")
    @classmethod
    def _is_a_redis_url(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://")):
            raise ValueError(
                "must be the URL of a Redis or Valkey server: redis://host:6379/0, or rediss:// for TLS"
            )
        return value

    @model_validator(mode="after")
    def _can_be_in_two_regions(self) -> Self:
        if self.region.name and not self.database.startswith(_POSTGRESQL):
            raise ValueError("two regions need a database that has a standby: a postgresql: URL")
        if self.region.name and self.region.alone_after_s > self.lease_s / 2:
            raise ValueError(
                "region.alone_after_s must be at most half of lease_s: while commits wait, leases are not renewed, and what "
                "was under way would be sent again"
            )
        return self

    @property
    def database_path(self) -> Path:
        """The SQLite file. Raises ConfigError when `database` is of another kind."""
        scheme, _, path = self.database.partition(":")
        if scheme != "sqlite":
            raise ConfigError(
                f"database: this command works on a SQLite file, and the database is at a `{scheme}:` URL. "
                "Its documentation says what to do instead."
            )
        return self.data_dir / path

    @property
    def missing_database(self) -> Path | None:
        """The SQLite file, if it is not there; databases elsewhere are not looked for."""
        if self.database.startswith("sqlite:") and not self.database_path.exists():
            return self.database_path
        return None

    @property
    def key_path(self) -> Path:
        """The installation's key file."""
        return self.data_dir / self.key_file

    @property
    def base_url(self) -> str:
        """Where this process can be reached: `public_url`, else the address it listens on."""
        shown = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 (a comparison)
        return self.public_url or f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}"

    @classmethod
    def load(cls, config: Path | None = None, **overrides: Any) -> Self:
        """Settings from `config` (default: `./clarion.toml` if there is one), the environment and `overrides`.

        Raises ConfigError naming every wrong key, where it was set and what to do about it.
        """
        file = config or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
        text, from_file = _read(file)
        from_env = _from_environment(os.environ)
        _refuse_unknown(cls, from_file, lambda key: f"{file}:{_line_of(text, key)}", lambda key: key)
        _refuse_unknown(cls, from_env, lambda _: "environment", _variable)
        merged = _merge(_merge(from_file, from_env), {k: v for k, v in overrides.items() if v is not None})
        try:
            return cls.model_validate(merged)
        except ValidationError as wrong:
            said = [_problem(e, text, file, from_env, overrides) for e in wrong.errors(include_url=False)]
            raise ConfigError("\n".join(said)) from None


def unsafe(settings: Settings) -> Iterator[str]:
    """Why these settings must not serve real users; each reason says what to do. Reads file modes only."""
    yield from _unsafe_address(settings)
    yield from _unsafe_files(settings)
    yield from _unsafe_roles(settings)
    if settings.log.level == "debug":
        yield "log.level is `debug`: it slows every request. Set log.level to `info`."
    if sys.flags.dev_mode:
        yield "Python runs in development mode. Unset PYTHONDEVMODE and leave out -X dev."


def _unsafe_address(settings: Settings) -> Iterator[str]:
    if _is_loopback(settings.host):
        return
    if not settings.public_url:
        yield (
            f"host is {settings.host}, a public address, but public_url is not set. Set public_url to the "
            "https:// address of your proxy, or listen on 127.0.0.1."
        )
    elif settings.public_url.startswith("http://") and not settings.allow_plain_http:
        yield (
            "public_url is not https://: API keys and messages would travel unencrypted. Put a TLS proxy in "
            "front and use its https:// address, or set allow_plain_http = true to accept the risk."
        )


def _unsafe_files(settings: Settings) -> Iterator[str]:
    folder, key = settings.data_dir, settings.key_path
    if not folder.is_dir():
        yield f"data_dir {folder} does not exist. Create it with `clarion migrate --data-dir {folder}`."
        return
    if folder.stat().st_mode & stat.S_IWOTH:
        yield f"data_dir {folder} can be written by everyone. Run: chmod o-w {folder}"
    if (folder / DEV_FILE).exists():
        yield (
            f"data_dir {folder} belongs to `clarion dev`: it has demo users, and an API key in {DEV_FILE}. "
            "Use another data_dir."
        )
    if not key.exists():
        yield f"key_file {key} does not exist. Create it with `clarion migrate`, or restore it from your backup."
    elif key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield f"key_file {key} can be read by others. Run: chmod 600 {key}"


def _unsafe_roles(settings: Settings) -> Iterator[str]:
    if set(settings.roles) == set(ROLES):
        return
    if settings.database.startswith("sqlite:"):
        yield (
            "roles are not all, and a sqlite: database belongs to one process. Start `clarion store` and set database to "
            "unix:store.sock, or use a database server, or leave out roles."
        )
    if Role.GATEWAY in settings.roles and settings.fanout.startswith("memory:"):
        yield (
            "fanout is memory:, which reaches only the live inboxes of the process that delivers, and other processes "
            "deliver too. Choose a fanout that reaches all, such as unix:store.sock."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────


def _read(file: Path | None) -> tuple[str, dict[str, Any]]:
    if file is None:
        return "", {}
    try:
        text = file.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read ({error.strerror}). Check the path given to --config."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in CLIENT_VARIABLES:
            *sections, last = name.removeprefix(PREFIX).lower().split("__")
            place = found
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = environ[name]
    return found


def _merge(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


# ── saying what is wrong ──────────────────────────────────────────────────────────────────────────────────


def _names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key that may be set, dotted."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _names(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def _given(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every key that was set, dotted."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _given(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _refuse_unknown(model: type[BaseModel], values: Mapping[str, Any], where: Any, spell: Any) -> None:
    known = set(_names(model)) - {"mode"}
    said = [
        f"{spell(key)} ({where(key)}): there is no such setting.{_nearest(key, known, spell)}"
        for key in _given(values)
        if key not in known
    ]
    if said:
        raise ConfigError("\n".join(said))


def _nearest(key: str, known: Iterable[str], spell: Any) -> str:
    by_last = {name.rpartition(".")[2]: name for name in known}
    close = get_close_matches(key, list(known), 1) or [
        by_last[last] for last in get_close_matches(key.rpartition(".")[2], list(by_last), 1)
    ]
    return f" Did you mean {spell(close[0])}?" if close else " See docs/reference/configuration.md."


_SECRET = re.compile("password|secret|token|database$|^(broker|fanout|redis)$")


def _problem(
    error: Any, text: str, file: Path | None, from_env: Mapping[str, Any], overrides: Mapping[str, Any]
) -> str:
    # A tuple element adds its index to the place; the key is what the person can look for.
    key = ".".join(part for part in error["loc"] if isinstance(part, str))
    if overrides.get(key.partition(".")[0]) is not None:
        source = f"--{key.replace('_', '-')}"
    elif key in set(_given(from_env)):
        source = _variable(key)
    elif file is None:  # A section, whose parts do not fit together.
        source = ", ".join(_variable(one) for one in _given(from_env) if one.startswith(f"{key}."))
    else:
        source = f"{file}:{_line_of(text, key)}"
    said = error["msg"].removeprefix("Value error, ")
    return f"{key} ({source}): {said[:1].lower()}{said[1:]}{_seen(key, error['input'])}."


def _seen(key: str, value: Any) -> str:
    """The wrong value, unless it is a secret or may hold one."""
    if isinstance(value, (dict, list)) or _SECRET.search(key):
        return ""
    return f"; it is {value!r}"


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _line_of(text: str, key: str) -> int:
    """The line that sets a dotted key; tomllib does not tell, so look for its section, then its name."""
    section, _, name = key.rpartition(".")
    current, fallback = "", 1
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("["):
            current = line.strip("[] ")
        elif line.partition("=")[0].strip().strip("\"'") in {name, key}:
            if current == section:
                return number
            fallback = number
    return fallback
