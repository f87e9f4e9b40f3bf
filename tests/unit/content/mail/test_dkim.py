"""DKIM signatures, checked by a verifier that others wrote (dkimpy) against a name server of our own."""

import re
from base64 import b64encode
from collections.abc import Callable

import dkim  # type: ignore[import-untyped]
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.content.mail.dkim import new_key, public_record, relaxed_body
from clarion.errors import ConfigError
from clarion.model.content import Attachment
from clarion.ports.mail import DkimKey, OutgoingEmail
from tests.mails import SENDER, made, outgoing_email


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


RSA = DkimKey(domain="example.com", selector="rsa1", private_key=pem(rsa_key(65_537, 2_048)))
ED = DkimKey(domain="example.com", selector="ed1", private_key=pem(Ed25519PrivateKey.generate()))
SIGNED = msgspec.structs.replace(SENDER, dkim=(RSA, ED))
ONE_CLICK = outgoing_email(
    "Größe " * 30,
    html="<html><body>" + "<p>Grüße,  mit \t Leerraum \n</p>\n" * 40 + "</body></html>\n\n\n",
    unsubscribe_url="https://x.example/u/token",
    attachments=(Attachment(name="a.pdf", type="application/pdf", content=b"%PDF" * 100),),
)


def records(*keys: DkimKey) -> Callable[..., bytes | None]:
    """A name server that knows these keys and nothing else."""
    known = {f"{key.selector}._domainkey.{key.domain}.": public_record(key.private_key) for key in keys}

    def txt(name: bytes, timeout: int = 5) -> bytes | None:
        found = known.get(name.decode())
        return found.encode() if found else None

    return txt


def passes(raw: bytes, signature: int, dns=None) -> bool:
    """Whether the n-th signature is good."""
    try:
        return bool(dkim.DKIM(raw).verify(idx=signature, dnsfunc=dns or records(RSA, ED)))
    except dkim.ValidationError:  # so it says that the body was changed
        return False


@pytest.mark.parametrize(
    "one",
    [
        outgoing_email(),
        ONE_CLICK,
        outgoing_email("", text=""),
        outgoing_email(text="x" * 3_000),
        outgoing_email(text="a  b \n\n\n"),
    ],
)
def test_both_signatures_pass(one):
    """RSA-2048 and Ed25519 on the same mail, each by itself."""
    raw = made(one, SIGNED)
    assert raw.count(b"DKIM-Signature:") == 2
    assert passes(raw, 0)
    assert passes(raw, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        outgoing_email,
        st.text(max_size=200),
        text=st.text(max_size=500),
        html=st.text("a <>\t\n\r=.", max_size=300),
    )
)
def test_any_content_is_signed_right(one: OutgoingEmail):
    """Whatever blanks and line ends it has."""
    assert passes(made(one, msgspec.structs.replace(SENDER, dkim=(ED,))), 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hello", b"Hallo"),
        (b"Subject: Your order", b"Subject: Their order"),
        (b"List-Unsubscribe: <https://x", b"List-Unsubscribe: <https://y"),
        (b"Reply-To: help@", b"Reply-To: evil@"),
        (b"List-Id: <orders", b"List-Id: <others"),
        (b"\r\nTo: ada@", b"\r\nTo: eve@"),
    ],
)
@pytest.mark.parametrize("signature", [0, 1])
def test_a_changed_mail_does_not_pass(old, new, signature):
    """What people see and what mail programs act on is covered."""
    sender = msgspec.structs.replace(SIGNED, reply_to="help@example.com")
    raw = made(outgoing_email(unsubscribe_url="https://x.example/u/t"), sender)
    assert raw.count(old) == 1
    assert passes(raw, signature)
    assert not passes(raw.replace(old, new), signature)


def test_a_second_from_breaks_the_signature():
    """From is signed once more than it stands there."""
    raw = made(outgoing_email(), SIGNED)
    for forged in (
        b"From: boss@example.com\r\n" + raw,
        raw.replace(b"\r\n\r\n", b"\r\nFrom: b@example.com\r\n\r\n", 1),
    ):
        assert not passes(forged, 0)


def test_what_is_signed_is_said():
    """The one-click fields are covered (RFC 8058), From twice, and no length leaves room behind the body."""
    raw = made(ONE_CLICK, SIGNED).decode()
    tags = dict(re.findall(r"(\w+)=([^;]*);?", raw.partition("\r\n b=")[0].replace("\r\n", "")))
    assert {"v", "a", "c", "d", "s", "t", "h", "bh"} == set(tags)
    assert (tags["c"], tags["d"], tags["s"], tags["t"]) == (
        "relaxed/relaxed",
        "example.com",
        "rsa1",
        "1767614400",
    )
    names = tags["h"].split(":")
    assert names.count("from") == 2
    assert {
        "subject",
        "date",
        "to",
        "message-id",
        "content-type",
        "list-unsubscribe",
        "list-unsubscribe-post",
    } <= set(names)


def test_signed_mail_is_seven_bit():
    """A relay that had to re-encode it would break the signature (RFC 6376 section 5.3)."""
    assert made(ONE_CLICK, SIGNED).isascii()


@given(st.text("a \t\r\n", max_size=60))
def test_the_body_is_relaxed_as_the_verifier_does_it(text):
    """Canonicalisation agrees on whatever blanks there are."""
    body = re.sub(r"\r\n|\r|\n", "\r\n", text + "\n").encode()
    assert relaxed_body(body) == dkim.canonicalization.Relaxed.canonicalize_body(body)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"private_key": "not a key"}, "cannot be read"),
        ({"private_key": pem(ec_key(SECP256R1()))}, "neither RSA nor Ed25519"),
        ({"private_key": RSA.private_key[:400] + RSA.private_key[500:]}, "cannot be read"),
        ({"domain": "exa mple"}, "is not a domain"),
        ({"selector": "a;b=c"}, "is not a selector"),
        ({"selector": "a\r\nb"}, "is not a selector"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_with_the_reason(change, said):
    """And never shown."""
    key = msgspec.structs.replace(ED, **change)
    with pytest.raises(ConfigError, match=said) as refused:
        made(sender=msgspec.structs.replace(SENDER, dkim=(key,)))
    assert key.private_key not in refused.value.detail


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_new_key_signs_what_its_record_verifies(kind):
    """What `clarion dkim create` hands out fits together."""
    key = DkimKey(domain="example.com", selector="s", private_key=new_key(kind))
    raw = made(sender=msgspec.structs.replace(SENDER, dkim=(key,)))
    assert passes(raw, 0, records(key))
    assert public_record(key.private_key).startswith(f"v=DKIM1; k={kind}; p=")


def test_a_key_may_be_given_without_its_frame():
    """Base64 of PKCS #8, as some secret stores keep it."""
    der = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key = DkimKey(domain="example.com", selector="s", private_key=b64encode(der).decode())
    assert passes(made(sender=msgspec.structs.replace(SENDER, dkim=(key,))), 0, records(key))
