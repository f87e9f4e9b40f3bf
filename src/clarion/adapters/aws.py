"""Amazon Web Services: credentials, signatures of requests (SigV4), and notifications (SNS) with their signatures."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.x509 import load_pem_x509_certificate
from msgspec.structs import replace

from clarion.adapters.extras import needs
from clarion.adapters.http import HttpReply, HttpRequest
from clarion.errors import CallbackForged, ConfigError
from clarion.model.ids import Instant
from clarion.ports.callback import CallbackRequest, CallbackTools, DocumentNeeded
from clarion.ports.clock import Clock

ALGORITHM = "AWS4-HMAC-SHA256"
NO_CREDENTIALS = (
    "no AWS credentials were found: set `access_key_id` and `secret_access_key`, or give this machine a role"
)
SNS_WINDOW_S = 25 * 3600
"""SNS repeats a notification for hours, always with the time of the first."""

_DEFAULT_PORTS = {"https": ":443", "http": ":80"}
_UNRESERVED = "-_.~"
_CERTIFICATE = re.compile(
    r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?/SimpleNotificationService-[0-9a-f]{1,64}\.pem"
).fullmatch
_CONFIRMATION = re.compile(r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?/\?[!-~]{1,2000}").fullmatch
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message",
        "MessageId",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ),
    "UnsubscribeConfirmation": (
        "Message",
        "MessageId",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ),
}
"""Fields under the signature, by type, in their order."""
_HASHES: dict[str, Callable[[], HashAlgorithm]] = {"1": SHA1, "2": SHA256}


Region = Annotated[
    str,
    msgspec.Meta(pattern=r"\A[a-z]{2}(-[a-z]+)+-\d\Z", description="a region of AWS, such as eu-central-1"),
]
TopicArn = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256})?\Z",
        description="the ARN of an SNS topic: arn:aws:sns:...",
    ),
]


def check_key_pair(key_id: str, secret: str) -> None:
    """Raises ValueError for half a pair in settings."""
    if bool(key_id) != bool(secret):
        raise ValueError("set `access_key_id` and `secret_access_key` together, or neither")


class AwsKey(NamedTuple):
    """Who signs."""

    id: str
    secret: str
    session_token: str = ""
    """Of credentials that end."""

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"AwsKey({self.id})"


class AwsChain:
    """Credentials as all tools of AWS find them: environment, files, web identity, container, instance."""

    def __init__(self) -> None:
        """Raises ConfigError without the library that finds them."""
        what = (
            "set `access_key_id` and `secret_access_key`. Finding them in the environment, in files or by the role of this "
            "machine"
        )
        with needs("aws", what, pointer="#/access_key_id"):
            from botocore.session import Session
        self._session: Any = Session()
        self._found: Any = None

    async def key(self) -> AwsKey | None:
        """The credentials of now, renewed where they end; None when there are none."""
        return await asyncio.to_thread(self._key)

    def _key(self) -> AwsKey | None:
        self._found = self._found or self._session.get_credentials()
        if self._found is None:
            return None
        frozen = self._found.get_frozen_credentials()
        return AwsKey(frozen.access_key, frozen.secret_key, frozen.token or "")


def signed(request: HttpRequest, key: AwsKey, *, region: str, service: str, now: Instant) -> HttpRequest:
    """The request with a SigV4 signature.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    at = datetime.fromtimestamp(now // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    place = urlsplit(request.url)
    headers = {
        **request.headers,
        "host": request.host.removesuffix(_DEFAULT_PORTS[place.scheme]),
        "x-amz-date": at,
    }
    if key.session_token:
        headers["x-amz-security-token"] = key.session_token
    names = sorted(headers)
    query = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
        for name, value in parse_qsl(place.query, keep_blank_values=True)
    )
    canonical = "\n".join(
        (
            request.method,
            quote(place.path or "/", safe="/" + _UNRESERVED),
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    scope = f"{at[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join((ALGORITHM, at, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.digest(_signing_key(key.secret, scope), to_sign.encode(), "sha256").hex()
    headers["authorization"] = (
        f"{ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    del headers["host"]  # the client writes it
    return replace(request, headers=headers)


@lru_cache(maxsize=64)
def _signing_key(secret: str, scope: str) -> bytes:
    """The key of a day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class AwsSigner:
    """Signs the requests of one integration, with the credentials of its settings or those of this machine."""

    def __init__(self, service: str, region: str, key_id: str, secret: str, clock: Clock) -> None:
        """Raises ConfigError when credentials must be found and the library for that is missing."""
        self._service = service
        self._region = region
        self._clock = clock
        self._chain = None if key_id else AwsChain()
        self._key: AwsKey | None = AwsKey(key_id, secret)

    async def find_key(self) -> None:
        """Before every batch: credentials may end. Raises ConfigError when there are none."""
        if self._chain is not None:
            self._key = await self._chain.key()
        if self._key is None:
            raise ConfigError(NO_CREDENTIALS, pointer="#/access_key_id")

    def signed(self, request: HttpRequest) -> HttpRequest:
        """The request with a signature."""
        assert self._key is not None, "it was found before"
        return signed(request, self._key, region=self._region, service=self._service, now=self._clock.now())


def error_name(reply: HttpReply, type_: str) -> str:
    """The name of an error, such as `ConflictException`: what its header says, else the `__type` of its JSON."""
    name = reply.headers.get("x-amzn-errortype") or type_
    return name.partition(":")[0].rpartition("#")[2]


# ── notifications ─────────────────────────────────────────────────────────────────────────────────────────


class Notification(msgspec.Struct, frozen=True):
    """What SNS sends; the names are its own."""

    Type: str
    MessageId: str
    TopicArn: str
    Message: str
    Timestamp: str
    SignatureVersion: str
    Signature: str
    SigningCertURL: str
    Subject: str | None = None
    Token: str = ""
    SubscribeURL: str = ""

    @property
    def confirmation_url(self) -> str:
        """What to GET so that the topic reports to us; empty: nothing is to be confirmed."""
        return self.SubscribeURL if self.Type == "SubscriptionConfirmation" else ""


def notification_of(request: CallbackRequest) -> Notification:
    """The notification in a request. Raises CallbackForged when there is none: it cannot be verified."""
    try:
        return msgspec.json.decode(request.body, type=Notification)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise CallbackForged("the body is no notification of SNS") from None


def verify_notification(
    request: CallbackRequest, tools: CallbackTools, topic_arn: str
) -> DocumentNeeded | None:
    """Raises CallbackForged unless SNS sent it for this topic: anybody may have a topic of their own.

    https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
    """
    found = notification_of(request)
    if not topic_arn or not hmac.compare_digest(
        found.TopicArn.encode("utf-8", "replace"), topic_arn.encode()
    ):
        raise CallbackForged("it comes from another topic than `topic_arn`")
    if found.Type not in _SIGNED or found.SignatureVersion not in _HASHES:
        raise CallbackForged("its type or the version of its signature is not known")
    if _CERTIFICATE(found.SigningCertURL) is None:
        raise CallbackForged("its certificate is not at a URL of SNS")
    if found.confirmation_url and _CONFIRMATION(found.confirmation_url) is None:
        raise CallbackForged("its confirmation is not at a URL of SNS")
    if found.SigningCertURL not in tools.documents:
        return DocumentNeeded(url=found.SigningCertURL)
    _check_signature(found, tools.documents[found.SigningCertURL])
    if abs(tools.now - _instant(found.Timestamp)) > SNS_WINDOW_S * 1000:
        raise CallbackForged("its time is too old")
    return None


def _check_signature(found: Notification, certificate: bytes) -> None:
    fields = ((name, getattr(found, name)) for name in _SIGNED[found.Type])
    text = "".join(f"{name}\n{value}\n" for name, value in fields if value is not None)
    try:
        key = load_pem_x509_certificate(certificate).public_key()
        if not isinstance(key, RSAPublicKey):
            raise CallbackForged("its certificate is not one of SNS")
        signature = b64decode(found.Signature, validate=True)
        key.verify(signature, text.encode("utf-8", "replace"), PKCS1v15(), _HASHES[found.SignatureVersion]())
    except (ValueError, InvalidSignature):
        raise CallbackForged("its signature is wrong") from None


def _instant(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise CallbackForged("its time is missing") from None
