"""What a `nats:` URL says."""

import pytest

from clarion.adapters.brokers.nats import OPTIONS, opened
from clarion.adapters.nats import parse
from clarion.errors import ConfigError


def test_hosts_are_enough():
    """Each on the usual port, without a login."""
    url = parse("nats://one,two:4223", "broker", OPTIONS)
    assert url.servers == ("one:4222", "two:4223")
    assert (url.prefix, url.tls, url.user, url.options) == ("clarion", False, "", {})


def test_everything_else_is_in_the_url():
    """Options that are not about connecting are left to whoever knows them."""
    url = parse("nats://ann:p%40ss@one/shop?tls=yes&ca=/ca.pem&replicas=1", "broker", OPTIONS)
    assert (url.user, url.password, url.prefix, url.tls, url.ca) == ("ann", "p@ss", "shop", True, "/ca.pem")
    assert url.options == {"replicas": "1"}
    assert parse("nats://one?creds=/user.creds", "broker").creds == "/user.creds"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nats:", "must be like"),
        ("nats://", "must be like"),
        ("nats://:4222", "not a host"),
        ("nats://one/a.b", "prefix"),
        ("nats://one?replica=3", "Did you mean `replicas`"),
        ("nats://one?tls=1", "yes or no"),
        ("nats://one?ca=/ca.pem", "add tls=yes"),
    ],
)
def test_what_is_wrong_is_said(url, said):
    """With what to write instead."""
    with pytest.raises(ConfigError, match=f"broker: .*{said}"):
        parse(url, "broker", OPTIONS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("replicas=0", "from 1 to 5"),
        ("hold_s=x", "whole number"),
        ("sync=sometimes", "must be always"),
    ],
)
async def test_what_the_broker_does_not_understand_is_said(options, said):
    """Before it connects."""
    with pytest.raises(ConfigError, match=said):
        async with opened(f"nats://one?{options}", None, None):  # type: ignore[arg-type]
            pass


def test_no_message_shows_the_password():
    """Neither does a traceback that shows the URL."""
    assert "secret" not in repr(parse("nats://ann:secret@one", "broker"))
