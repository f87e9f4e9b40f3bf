"""The parts that URLs of servers share."""

import pytest

from clarion.adapters.server_url import hosts_of, number_of, options_of


def test_hosts_have_their_own_port_or_the_usual_one():
    """Also addresses, in brackets where they have colons."""
    assert hosts_of("one,two:7,[::1]:8", 5672) == (("one", 5672), ("two", 7), ("::1", 8))


@pytest.mark.parametrize("text", ["", "one,", "one:port", ":5672", "one:99999"])
def test_what_is_no_host_is_shown(text):
    """With an example."""
    with pytest.raises(ValueError, match=r"server\.example:5672"):
        hosts_of(text, 5672)


def test_an_unknown_option_is_named_with_the_nearest():
    """A typing error is not passed over."""
    assert options_of("ca=/x.pem&prefix=", ("ca", "prefix")) == {"ca": "/x.pem", "prefix": ""}
    with pytest.raises(ValueError, match=r"no option `prefx`.*Did you mean `prefix`"):
        options_of("prefx=a", ("ca", "prefix"))


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "11", "1.5", "1" * 5_000, "²"])
def test_a_number_is_whole_and_in_its_range(text):
    """The error says which numbers are allowed."""
    assert number_of({}, "hold_s", 3, 1, 10) == 3
    with pytest.raises(ValueError, match="hold_s must be a whole number from 1 to 10"):
        number_of({"hold_s": text}, "hold_s", 3, 1, 10)
