"""Replies, however they arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.adapters.providers.smtp.replies import BadReply, Capabilities, ReplyReader, enhanced

SAID = b"220 hi\r\n250-a\r\n250-b\r\n250 c\r\n354\r\n250 2.0.0 ok\n"
HEARD = [(220, b"hi"), (250, b"a\nb\nc"), (354, b""), (250, b"2.0.0 ok")]


@given(st.lists(st.integers(0, len(SAID)), max_size=10).map(sorted))
def test_replies_come_out_whole_wherever_they_are_cut(cuts):
    """The network hands over what it likes."""
    reader = ReplyReader()
    heard = []
    for start, end in zip([0, *cuts], [*cuts, len(SAID)], strict=True):
        heard += reader.feed(SAID[start:end])
    assert heard == HEARD
    assert reader.is_empty


@given(st.binary(max_size=500))
def test_anything_else_is_refused_or_waited_for(data):
    """No input raises anything but BadReply, or makes up a reply."""
    try:
        found = ReplyReader().feed(data)
    except BadReply:
        return
    assert all(200 <= code < 600 for code, _ in found)


@pytest.mark.parametrize(
    "data",
    [b"hello\r\n", b"99 x\r\n", b"600 x\r\n", b"\r\n", b"x" * 5_000, b"250-a\r\n" * 201, b"2\xb20 x\r\n"],
)
def test_what_is_no_reply_is_refused(data):
    """And what would grow without end."""
    with pytest.raises(BadReply):
        ReplyReader().feed(data)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"5.1.1 x", (5, 1, 1)),
        (b"4.7.28", (4, 7, 28)),
        (b"x 5.1.1", None),
        (b"5.1", None),
        (b"1.2.3 x", None),
    ],
)
def test_an_enhanced_code_stands_at_the_beginning(text, code):
    """RFC 2034."""
    assert enhanced(text) == code


def test_what_a_server_offers_is_read():
    """Any case, the old AUTH= too; SIZE 0 is no limit."""
    found = Capabilities(
        b"mx.example\npipelining\n8BitMIME\nSIZE 1000\nAUTH PLAIN login\nAUTH=CRAM-MD5\nSTARTTLS"
    )
    assert found.pipelining
    assert found.eight_bit
    assert found.starttls
    assert not found.utf8
    assert found.size == 1000
    assert found.auth == {b"PLAIN", b"LOGIN", b"CRAM-MD5"}
    assert Capabilities(b"mx\nSIZE 0").size is None
    assert Capabilities().size is None
