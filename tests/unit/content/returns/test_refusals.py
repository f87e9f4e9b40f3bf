"""What a mail server's refusal means, as services pass it on."""

import pytest

from clarion.content.bounces import refused_email


@pytest.mark.parametrize(
    ("status", "said", "cause"),
    [
        ("5.1.1", "550 5.1.1 The email account that you tried to reach does not exist.", "address"),
        ("", "550 user unknown", "address"),
        ("5.1.1", "", "address"),
        ("5.2.2", "552 5.2.2 The recipient's inbox is out of storage space.", "moment"),
        ("4.4.1", "", "moment"),
        ("", "421 4.4.2 connection dropped, try again later", "moment"),
        (
            "5.7.26",
            "550 5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy.",
            "sender",
        ),
        ("5.7.515", "", "sender"),
        ("5.7.1", "550 5.7.1 The message contains content that looks like spam.", "sender"),
        (
            "4.7.0",
            "421 4.7.0 [TSS04] temporarily deferred due to unexpected volume or user complaints",
            "sender",
        ),
        ("", "", "unknown"),
        ("no status", "no words that say anything", "unknown"),
    ],
)
def test_a_refusal_is_about_the_address_the_moment_or_the_sender(status, said, cause):
    """By its words first, then by its code; a policy is never the person's fault."""
    assert refused_email(status, said).cause == cause


def test_its_words_name_nobody():
    """They are shown in the timeline of the message."""
    detail = refused_email("5.1.1", "550 5.1.1 <ada@contact.example>: no such user").detail
    assert "no such user" in detail
    assert "ada@" not in detail


def test_its_words_are_short():
    """Whatever a server says."""
    assert len(refused_email("", "550 " + "spam " * 10_000).detail) <= 300
