"""Email addresses, on the wire."""

import pytest

from clarion.content.mail.addresses import wire_address
from clarion.errors import ContentError


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("ada@example.org", "ada@example.org"),
        ("ada+tag_x@mail.example.org", "ada+tag_x@mail.example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("δοκιμή@example.org", "δοκιμή@example.org"),
        ("a..b@docomo.example", '"a..b"@docomo.example'),
        ("a.@docomo.example", '"a."@docomo.example'),
        ('"two words"@example.org', '"two words"@example.org'),
        ("root@localhost", "root@localhost"),
    ],
)
def test_an_address_is_written_as_mail_servers_want_it(given, written):
    """IDNA 2008 for the domain; a local part with dots where RFC 5321 wants none is quoted."""
    assert wire_address(given) == written


@pytest.mark.parametrize(
    "given",
    [
        "",
        "@",
        "ada",
        "ada@",
        "@example.org",
        "a b@example.org",
        "ada@exa mple.org",
        "ada@-example.org",
        "ada@example..org",
        "<ada@example.org>",
        "ada@example.org,bob@example.org",
        "ada@example.org\r\nRCPT TO:<bob@example.org>",
        "ada\n@example.org",
        '"a"b"@example.org',
        "x" * 65 + "@example.org",
        "x@" + "a" * 60 + ".example" * 40,
        "ada@☃️.example\0",
        "a\ud800@example.org",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(given):
    """Errors are logged, and addresses must not be."""
    with pytest.raises(ContentError) as refused:
        wire_address(given)
    assert len(given) < 3 or given not in refused.value.detail
