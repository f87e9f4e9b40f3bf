"""One spelling for each mailbox, whatever a person, a server or a list wrote."""

import pytest

from clarion.model.mail_address import normal_mail_address


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("kim@b\u00fccher.example", "kim@xn--bcher-kva.example"),
        ("kim@b\u00fccher.example", "Kim@B\u00dcCHER.Example"),
        ("kim@b\u00fccher.example", "kim@XN--BCHER-KVA.EXAMPLE"),
        ("kim@b\u00fccher.example", "kim@bu\u0308cher.example"),
        ("kim@b\u00fccher.example", "kim@b\u00fccher\u3002example"),
        ("kim@b\u00fccher.example", "kim@b\u00fccher\uff0eexample\uff61"),
        ("kim@example.org", "kim@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.org"),
        ("kim@example.org", " KIM@Example.ORG. "),
        ("j\u00fcrgen@example.org", "ju\u0308rgen@example.org"),
        ("j\u00fcrgen@example.org", "J\u00dcRGEN@example.org"),
        ("kim@example.org", '"kim"@example.org'),
        ("kim..k.@example.org", '"kim..k."@example.org'),
        ('"k\\im"@example.org', "kim@example.org"),
        ('"a@b"@example.org', '"A@B"@EXAMPLE.ORG'),
        ("kim@stra\u00dfe.example", "kim@xn--strae-oqa.example"),
        ("kim@stra\u00dfe.example", "kim@STRA\u1e9eE.example"),
    ],
)
def test_spellings_of_one_mailbox_are_one(one, other):
    """Domains in letters or A-labels, wide or narrow, quoted or not, composed or not."""
    assert normal_mail_address(one) == normal_mail_address(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("kim@stra\u00dfe.example", "kim@strasse.example"),
        ("kim@b\u00fccher.example", "kim@bucher.example"),
        ("kim@a.example", "kim@b.example"),
        ("kim+1@example.org", "kim@example.org"),
    ],
)
def test_different_mailboxes_stay_different(one, other):
    """Two registrations are two domains, however near they look."""
    assert normal_mail_address(one) != normal_mail_address(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "kim@",
        "@example.org",
        "kim",
        "kim@\u00fc" + "x" * 9000,
        "kim@\ud800",
        "kim@-\u00fc-",
        "\x00@\x00",
    ],
)
def test_what_is_no_address_has_a_spelling_too(text):
    """Reports of strangers name all kinds of things."""
    once = normal_mail_address(text)
    assert normal_mail_address(once) == once
