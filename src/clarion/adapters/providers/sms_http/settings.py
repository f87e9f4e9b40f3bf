"""The settings of a gateway: its request, its answers, its errors and its reports. What no type can say is checked here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from clarion.adapters.phone_errors import PhoneErrorEffect
from clarion.adapters.providers.sms_http.placeholders import PLACEHOLDERS, escaped_pointer, filling_of
from clarion.adapters.providers.sms_http.places import check_answer_place, check_pattern
from clarion.errors import ConfigError
from clarion.ports.provider import ProviderSettings, Token, WebUrl

HeaderName = Annotated[
    str, msgspec.Meta(pattern=r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z", description="the name of an HTTP header")
]
Pointer = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(/([^~/]|~[01])*)*\Z", description="a JSON pointer such as /messages/0/id, or nothing"
    ),
]
NOT_IN_PATH = frozenset({"to", "text", "callback_url"})
"""They could lead to another path of the server."""
IN_HEADER = ("reference", "callback_url", "user", "secret", "basic", "callback_secret")
OF_TRANSPORT = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})
"""Headers that the client writes."""
WITH_SECRETS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})


class AnswerRules(ProviderSettings, frozen=True, kw_only=True):
    """What an answer of the gateway says. A place is a JSON pointer (`/id`) or a pattern with one group."""

    success: str = ""
    """A pattern that is found at `success_at` in answers that take the message; empty: every 2xx does."""
    success_at: Pointer = ""
    """Where `success` is looked for: a JSON pointer; empty: the whole answer."""
    id: str = ""
    """Where the gateway's id of the message is."""
    error: str = ""
    """Where its error code is."""


class ReportSignature(ProviderSettings, frozen=True, kw_only=True):
    """How the gateway shows that a report is its own, by the `callback_secret`."""

    how: Literal["hmac", "secret"]
    """`hmac`: it signs the report. `secret`: it sends the secret along."""
    header: HeaderName = ""
    """The header with the signature or the secret."""
    parameter: str = ""
    """`secret` only: the parameter of the URL with the secret, as in `{callback_url}?token={callback_secret}`."""
    hash: Literal["sha256", "sha1", "sha512"] = "sha256"
    """`hmac` only."""
    encoding: Literal["hex", "base64"] = "hex"
    """`hmac` only."""
    prefix: str = ""
    """`hmac` only: what stands before the signature, such as `sha256=`."""
    over: Literal["body", "url", "url_and_body"] = "body"
    """`hmac` only: what is signed."""


State = Literal[
    "delivered",
    "on_the_way",
    "gone",
    "opted_out",
    "unreachable",
    "blocked",
    "refused",
    "later",
    "expired",
    "set_up",
    "unclear",
]


class ReportRules(ProviderSettings, frozen=True, kw_only=True):
    """What a delivery report of the gateway says. A place is a JSON pointer (`/status`), the name of a form's field
    (`status`), or a parameter of the URL (`?ref`)."""

    format: Literal["json", "form", "query"]
    """Where its values are; `query`: in the URL."""
    verify: ReportSignature
    reference: str
    """Where our `{reference}` comes back."""
    status: str
    """Where the status is."""
    statuses: dict[str, State]
    """What each status means: `delivered`, `on_the_way` (the end is still to come), or what an error means."""
    error: str = ""
    """Where its error code is; `errors` says what it means."""
    id: str = ""
    """Where the gateway's id of the message is."""
    list: Pointer = ""
    """`json` only: where the list of reports is, when one callback brings several; places then begin in its items."""
    answer: str = ""
    """What the gateway wants to be answered."""


class SmsHttpConfig(ProviderSettings, frozen=True, kw_only=True):
    """A gateway with an HTTP API."""

    url: WebUrl
    """What is called; its path and query may have placeholders."""
    method: Literal["POST", "PUT", "GET"] = "POST"
    """How it is called."""
    headers: dict[HeaderName, str] = {}
    """Headers of the request."""
    query: dict[str, str] = {}
    """Parameters of the URL."""
    form: dict[str, str] = {}
    """The body as a form; or `json`, or neither."""
    json: dict[str, Any] | list[Any] | None = None
    """The body as a JSON document."""
    sender: Annotated[
        str,
        msgspec.Meta(pattern=r"\A[^\x00-\x1f\x7f]{0,40}\Z", description="a number, a short code or a name"),
    ] = ""
    """Who sends: `{from}`."""
    user: Annotated[
        str, msgspec.Meta(pattern=r"\A[ -~]{0,200}\Z", description="a user name or account in ASCII")
    ] = ""
    """A user or account: `{user}`."""
    secret: Token = ""
    """A password or token: `{secret}`. `{basic}` is `user:secret` in base64."""
    callback_secret: Token = ""
    """Proves reports: `{callback_secret}`, or the key of signatures."""
    most_chars: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1600
    """The longest text that the gateway takes."""
    answer: AnswerRules = AnswerRules()
    """How its answers are read."""
    errors: dict[str, PhoneErrorEffect] = {}
    """What its error codes mean; `http_402`: what a status of HTTP means."""
    report: ReportRules | None = None
    """How its delivery reports are read; null: it sends none."""
    ping_url: WebUrl = ""
    """What `clarion check` may GET with the same headers; empty: it calls nothing."""


def check_settings(config: SmsHttpConfig) -> None:
    """Raises ConfigError, with a pointer, for settings that cannot work together."""
    if config.form and config.json is not None:
        raise ConfigError("set `form` or `json`, not both", pointer="#/json")
    if config.method == "GET" and (config.form or config.json is not None):
        place = "form" if config.form else "json"
        raise ConfigError("a GET has no body: put its fields into `query`", pointer=f"#/{place}")
    _check_headers(config)
    used = _check_placeholders(config)
    if not used & {"to", "to_digits"}:
        raise ConfigError(
            "the number is nowhere in the request: put {to} or {to_digits} there", pointer="#/url"
        )
    if "text" not in used:
        raise ConfigError("the text is nowhere in the request: put {text} there", pointer="#/url")
    given = {"from": config.sender, "user": config.user, "secret": config.secret, "basic": config.secret}
    settings = {"from": "sender", "basic": "secret"}
    for name, value in {**given, "callback_secret": config.callback_secret}.items():
        if name in used and not value:
            place = settings.get(name, name)
            raise ConfigError(f"the request says {{{name}}}, but `{place}` is not set", pointer=f"#/{place}")
    check_answer_place(config.answer.id, "#/answer/id")
    check_answer_place(config.answer.error, "#/answer/error")
    check_pattern(config.answer.success, "#/answer/success")
    if config.report is not None:
        _check_report(config, config.report, used)


def _check_headers(config: SmsHttpConfig) -> None:
    for name, value in config.headers.items():
        pointer = f"#/headers/{escaped_pointer(name)}"
        if name.lower() in OF_TRANSPORT:
            raise ConfigError("this header is written by the client: leave it out", pointer=pointer)
        if not value.isprintable() or not value.isascii():
            raise ConfigError("a header is ASCII without control characters", pointer=pointer)
        if name.lower() in WITH_SECRETS and not {"secret", "basic"} & {*filling_of(value, pointer).names}:
            raise ConfigError(
                "what stands here is shown: put it into `secret` and write {secret}", pointer=pointer
            )


def _check_placeholders(config: SmsHttpConfig) -> set[str]:
    """The names that are used."""
    if "#" in config.url:
        raise ConfigError("a URL that is called has no fragment: leave out what follows #", pointer="#/url")
    path, _, query = config.url.partition("?")
    in_path = [name for name in PLACEHOLDERS if name not in NOT_IN_PATH]
    used = {*filling_of(path, "#/url", in_path).names, *filling_of(query, "#/url").names}
    for name, value in config.headers.items():
        used.update(filling_of(value, f"#/headers/{escaped_pointer(name)}", IN_HEADER).names)
    for part, fields in (("query", config.query), ("form", config.form)):
        for name, value in fields.items():
            used.update(filling_of(value, f"#/{part}/{escaped_pointer(name)}").names)
    for pointer, value in _strings(config.json, "#/json"):
        used.update(filling_of(value, pointer).names)
    return used


def _strings(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _strings(one, f"{pointer}/{escaped_pointer(name)}")
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _strings(one, f"{pointer}/{at}")


def _check_report(config: SmsHttpConfig, report: ReportRules, used: set[str]) -> None:
    if "reference" not in used:
        raise ConfigError(
            "reports are told by {reference}: put it into the request, such as {callback_url}?ref={reference}",
            pointer="#/report/reference",
        )
    if not config.callback_secret:
        raise ConfigError("reports are proven by `callback_secret`: set it", pointer="#/callback_secret")
    verify = report.verify
    if verify.how == "hmac" and (not verify.header or verify.parameter):
        raise ConfigError("name the `header` with the signature", pointer="#/report/verify/header")
    if verify.how == "secret" and bool(verify.header) == bool(verify.parameter):
        raise ConfigError(
            "name the `header` or the `parameter` with the secret", pointer="#/report/verify/header"
        )
    if report.list and report.format != "json":
        raise ConfigError("only JSON has lists", pointer="#/report/list")
    for name in ("reference", "status", "error", "id"):
        _check_place(report, getattr(report, name), f"#/report/{name}")


def _check_place(report: ReportRules, place: str, pointer: str) -> None:
    """Of a report: it has the form of its format, and what is there is proven."""
    if not place:
        if pointer.endswith(("/reference", "/status")):
            raise ConfigError("say where it is", pointer=pointer)
        return
    in_url = place.startswith("?")
    if report.format == "json" and not (in_url or place.startswith("/")):
        raise ConfigError("write a JSON pointer such as /status, or ?name for the URL", pointer=pointer)
    if report.format == "query" and not in_url:
        raise ConfigError("write ?name: everything is in the URL", pointer=pointer)
    if report.format == "form" and place.startswith("/"):
        raise ConfigError("write the name of a field, or ?name for the URL", pointer=pointer)
    if report.verify.how == "hmac" and report.verify.over == ("body" if in_url else "url"):
        raise ConfigError(
            "the signature does not cover this place, so what is there proves nothing: see `over`",
            pointer=pointer,
        )


def effect_of_code(
    errors: dict[str, PhoneErrorEffect], code: str, status: int | None = None
) -> PhoneErrorEffect | None:
    """What an error code means, or else a status of HTTP; None: nobody said."""
    known = errors.get(code) if code else None
    return errors.get(f"http_{status}") if known is None and status is not None else known


_SHOWN = re.compile(r"\A(\d{1,6}|[A-Z][A-Z_]{0,31})\Z").fullmatch


def shown_code(code: str) -> str:
    """The code where it can be nothing else: a gateway may quote a number or our words."""
    return f"error {code}" if _SHOWN(code) else "an error"
