"""What a `kafka:` URL says."""

import pytest

from clarion.adapters.brokers.kafka.address import read_address
from clarion.errors import ConfigError


def test_hosts_are_enough():
    """Three servers have each event, and two of them must have it before it counts."""
    address = read_address("kafka://one,two:9093")
    assert address.client["bootstrap.servers"] == "one:9092,two:9093"
    assert address.client["security.protocol"] == "PLAINTEXT"
    assert (address.prefix, address.partitions, address.replication, address.insync) == ("clarion", 6, 3, 2)
    assert (address.group, address.session_s) == ("classic", 10)


def test_everything_else_is_in_the_url():
    """As the client is told it."""
    address = read_address(
        "kafka://ann:p%40ss@one:9093/shop?tls=yes&ca=/ca.pem&cert=/c.pem&key=/k.pem&mechanism=PLAIN&partitions=12"
        "&replication=1&group=consumer"
    )
    assert address.client == {
        **address.client,
        "security.protocol": "SASL_SSL",
        "sasl.username": "ann",
        "sasl.password": "p@ss",
        "sasl.mechanism": "PLAIN",
        "ssl.ca.location": "/ca.pem",
        "ssl.certificate.location": "/c.pem",
        "ssl.key.location": "/k.pem",
    }
    assert (address.prefix, address.partitions, address.insync, address.group) == ("shop", 12, 1, "consumer")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka:", "must be like"),
        ("kafka://", "must be like"),
        ("kafka://:9092", "not a host"),
        ("kafka://one:port", "not a host"),
        ("kafka://one/a/b", "prefix"),
        ("kafka://one?partition=3", "Did you mean `partitions`"),
        ("kafka://one?partitions=0", "from 1 to 1000"),
        ("kafka://one?replication=two", "whole number"),
        ("kafka://one?tls=true", "yes or no"),
        ("kafka://one?ca=/ca.pem", "add tls=yes"),
        ("kafka://one?mechanism=PLAIN", "user:password@"),
        ("kafka://ann:secret@one?mechanism=GSSAPI", "SCRAM-SHA-512"),
        ("kafka://one?session_s=0", "from 1 to 300"),
        ("kafka://one?group=new", "classic or consumer"),
    ],
)
def test_what_is_wrong_is_said(url, said):
    """With what to write instead."""
    with pytest.raises(ConfigError, match=said) as wrong:
        read_address(url)
    assert "secret" not in wrong.value.detail


def test_no_message_shows_the_password():
    """Neither does a traceback that shows the address."""
    address = read_address("kafka://ann:secret@one")
    assert "secret" not in repr(address)
    assert address.place == "one:9092"
