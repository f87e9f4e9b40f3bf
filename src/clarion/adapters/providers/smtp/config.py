"""Settings of an SMTP integration."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from ssl import SSLContext, SSLError, TLSVersion, create_default_context
from typing import Annotated, Literal

import msgspec

from clarion.adapters.oauth import Grant, checked
from clarion.errors import ConfigError
from clarion.ports.mail import DkimKey, Sender
from clarion.ports.provider import ProviderSettings, WebUrl

Security = Literal["starttls", "tls", "none"]

PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
"""RFC 6409 and RFC 8314; plain SMTP."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]+\]?").fullmatch
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL).findall


class DomainLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How hard one destination domain may be driven."""

    concurrency: Annotated[int, msgspec.Meta(ge=1)] = 20
    """Mails under way at once."""
    per_second: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Mails a second; None: no limit."""


class SmtpConfig(ProviderSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The relay, and in whose name it is given mail."""

    host: str
    """Name of the mail server; its certificate must be valid for it."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    """0: 587 for `starttls`, 465 for `tls`, 25 for `none`."""
    security: Security = "starttls"
    """`starttls`: must be offered. `tls`: from the first byte. `none`: only to this machine itself."""
    allow_plaintext: bool = False
    """With `none`: also to other machines. Passwords and mail can then be read on the way."""
    ca: str = ""
    """PEM of the authority that signed the server's certificate; empty: those the system trusts."""
    hello: str = ""
    """Name we greet with; empty: the domain of `from_address`."""
    username: str = ""
    """Empty: no authentication."""
    password: str = ""
    """For AUTH PLAIN or LOGIN."""
    token: str = ""
    """OAuth 2.0 access token for AUTH XOAUTH2, instead of a password; it is not renewed."""
    oauth_token_url: WebUrl = ""
    """Where OAuth 2.0 access tokens come from, instead of a password: they are renewed before they run out."""
    oauth_client_id: str = ""
    """The client registered there."""
    oauth_client_secret: str = ""
    """Its secret; empty: a public client."""
    oauth_refresh_token: str = ""
    """Of the mail account; empty: tokens are asked for in the client's own name (client credentials)."""
    oauth_scope: str = ""
    """What the tokens are for, as their server names it; empty: what was granted."""
    from_address: str
    from_name: str = ""
    reply_to: str = ""
    return_domain: str = ""
    """Bounces go to `b+<signed tag>` at this domain; empty: to `from_address`, where nothing reads them."""
    list_domain: str = ""
    """Domain of List-Id; empty: the domain of `from_address`."""
    feedback_id: str = ""
    """Sender part of Feedback-ID (5 to 15 characters), by which Gmail counts complaints; empty: none is written."""
    dkim_domain: str = ""
    """Domain that signs; empty: the domain of `from_address`."""
    dkim_selectors: tuple[str, ...] = ()
    """A selector for each key, in the same order. Empty: the relay signs."""
    dkim_keys: str = ""
    """Private keys as PEM, one after another, RSA or Ed25519; each signs."""
    connections: Annotated[int, msgspec.Meta(ge=1, le=500)] = 10
    """Most connections to the relay; two more may be opened for critical mail."""
    per_domain: DomainLimits = DomainLimits()
    """Limits of every destination domain."""
    domains: dict[str, DomainLimits] = {}
    """Limits of single destination domains."""


def port_of(config: SmtpConfig) -> int:
    """The port to connect to."""
    return config.port or PORTS[config.security]


def sender_of(config: SmtpConfig) -> Sender:
    """In whose name mails are made. Raises ConfigError when the keys do not match their selectors."""
    domain = config.from_address.rpartition("@")[2]
    pems = _PEM(config.dkim_keys)
    if len(pems) != len(config.dkim_selectors) or bool(pems) is not bool(config.dkim_keys.strip()):
        raise ConfigError(
            f"dkim_keys holds {len(pems)} private keys as PEM and dkim_selectors {len(config.dkim_selectors)} names: "
            "give one selector for each key"
        )
    return Sender(
        address=config.from_address,
        name=config.from_name,
        reply_to=config.reply_to,
        return_domain=config.return_domain,
        list_domain=config.list_domain,
        feedback_id=config.feedback_id,
        dkim=tuple(
            DkimKey(domain=config.dkim_domain or domain, selector=selector, private_key=pem)
            for selector, pem in zip(config.dkim_selectors, pems, strict=True)
        ),
    )


def refuse_unsafe(config: SmtpConfig) -> None:
    """Raises ConfigError, saying what to do, for settings that would leak or cannot work."""
    if _NAME(config.host) is None:
        raise ConfigError("host is not the name or address of a mail server", pointer="#/host")
    if config.hello and _NAME(config.hello) is None:
        raise ConfigError(
            "hello is not a host name: set it to the name of this machine, or leave it out", pointer="#/hello"
        )
    if config.security == "none" and not config.allow_plaintext and not _is_here(config.host):
        raise ConfigError(
            "security is `none` and host is another machine: mail and password would travel unencrypted. Use "
            "`starttls` or `tls`, or set allow_plaintext to accept the risk"
        )
    _refuse_unclear_login(config)
    for name in ("username", "password", "token"):
        value = getattr(config, name)
        if value.isspace() or any(c in value for c in "\0\x01\r\n"):
            raise ConfigError(f"{name} must hold no control characters and not be blank", pointer=f"#/{name}")


def grant_of(config: SmtpConfig) -> Grant | None:
    """By what right access tokens are asked for; None when they are not. ConfigError when something is missing."""
    if not config.oauth_token_url:
        if config.oauth_client_id or config.oauth_client_secret or config.oauth_refresh_token:
            raise ConfigError(
                "OAuth needs oauth_token_url, the URL that issues tokens", pointer="#/oauth_token_url"
            )
        return None
    return checked(
        Grant(
            token_url=config.oauth_token_url,
            client_id=config.oauth_client_id,
            client_secret=config.oauth_client_secret,
            refresh_token=config.oauth_refresh_token,
            scope=config.oauth_scope,
        )
    )


def _refuse_unclear_login(config: SmtpConfig) -> None:
    proofs = sum(bool(one) for one in (config.password, config.token, grant_of(config)))
    if proofs > 1:
        raise ConfigError("set only one of password, token and oauth_token_url")
    if proofs and not config.username:
        raise ConfigError("a password or token needs a username", pointer="#/username")
    if config.username and not proofs:
        raise ConfigError(
            "username is set without a password or token: set one, or leave username out",
            pointer="#/password",
        )


@lru_cache(maxsize=64)
def tls_context(ca: str) -> SSLContext:
    """Verifies certificate and name. ConfigError when `ca` is not PEM."""
    try:
        context = create_default_context(cadata=ca or None)
    except (SSLError, ValueError):
        raise ConfigError("ca is not a certificate in PEM form") from None
    context.minimum_version = TLSVersion.TLSv1_2
    return context


def _is_here(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
