"""Twilio's signature of its requests: HMAC-SHA1 over the URL and the form, or over the URL with a digest of the body.

https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from clarion.errors import CallbackForged
from clarion.ports.callback import CallbackRequest

SIGNATURE = "x-twilio-signature"
DIGEST = "bodySHA256"
"""Parameter of the URL: the body is signed through it, and is no form."""
MOST_FIELDS = 1_000
_PORTS = {"https": 443, "http": 80}


def form_of(request: CallbackRequest) -> list[tuple[str, str]]:
    """The fields of the body. Raises ValueError when it has too many."""
    return parse_qsl(
        request.body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS
    )


def is_form(request: CallbackRequest) -> bool:
    """Whether the signature is over the fields of the body."""
    return DIGEST not in request.query


def check_signature(request: CallbackRequest, token: str) -> None:
    """Raises CallbackForged unless the account with this token signed the request."""
    given = request.headers.get(SIGNATURE, "").encode("utf-8", "replace")
    if not given:
        raise CallbackForged("X-Twilio-Signature is missing")
    fields: list[tuple[str, str]] = []
    if is_form(request):
        try:
            fields = form_of(request)
        except ValueError:
            raise CallbackForged("the form has too many fields") from None
    elif not hmac.compare_digest(
        request.query[DIGEST].encode("utf-8", "replace"), sha256(request.body).hexdigest().encode()
    ):
        raise CallbackForged("the body is another than its digest says")
    signed = "".join(f"{name}{value}" for name, value in sorted(set(fields)))
    right = [_signature(url + signed, token) for url in _spellings(request.url)]
    if not any(hmac.compare_digest(given, one) for one in right):
        raise CallbackForged("X-Twilio-Signature is wrong")


def _signature(signed: str, token: str) -> bytes:
    return b64encode(hmac.digest(token.encode(), signed.encode("utf-8", "replace"), "sha1"))


def _spellings(url: str) -> tuple[str, str]:
    """The URL without a port and with one: which of them Twilio signs differs."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = parts.port or _PORTS[parts.scheme]
    return urlunsplit(parts._replace(netloc=host)), urlunsplit(parts._replace(netloc=f"{host}:{port}"))
