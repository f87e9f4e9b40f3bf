"""Whatever a stranger sends, reading it ends in a verdict, and nothing of theirs gets further than it may."""

from hypothesis import given
from hypothesis import strategies as st

from clarion.content.bounces import BounceVerdict, read
from tests.unit.content.returns import samples

SAMPLES = st.sampled_from(
    [
        samples.report("550 5.1.1 user unknown", "5.1.1"),
        samples.report("", "4.4.7", "delayed", returned="message/rfc822"),
        samples.feedback(),
        samples.daemon(samples.QMAIL.format(reason="mailbox full")),
        samples.mail("gone fishing", "Out of office", auto_submitted="auto-replied"),
    ]
)
JUNK = st.binary(max_size=40) | st.sampled_from(
    [b"\r\n\r\n", b"--=b\r\n", b"Content-Type: message/rfc822\r\n\r\n", b"=?utf-8?b?//8=?=", b"\x00", b"\xff"]
)


@given(st.binary(max_size=2_000))
def test_any_bytes_have_a_verdict(raw):
    """Without a fault."""
    assert read(raw).verdict in set(BounceVerdict)


@given(SAMPLES, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60), JUNK), max_size=6))
def test_a_mangled_mail_has_a_verdict(raw, wounds):
    """Pieces cut out and junk put in; what is kept of it stays small and names nobody."""
    for place, cut, junk in wounds:
        at = int(place * len(raw))
        raw = raw[:at] + junk + raw[at + cut :]
    found = read(raw)
    assert found.verdict in set(BounceVerdict)
    assert len(found.detail) <= 300
    assert "ada@example.org" not in found.detail
    assert all(len(tag) == 56 for tag in found.tags)
    assert all(len(one) == 16 for one in found.message_ids)
    assert len(found.tags) + len(found.message_ids) <= 16


@given(st.text(max_size=300))
def test_words_of_people_condemn_nobody(text):
    """A mail from a person, whatever it says, is no bounce unless it names itself one."""
    raw = samples.mail(text.encode("utf-8", "replace").decode(), "Re: Hello")
    assert read(raw).verdict in (BounceVerdict.UNKNOWN, BounceVerdict.AUTO_REPLY)
