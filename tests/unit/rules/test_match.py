"""Event types, JSON pointers and mistyped names."""

import pytest

from clarion.rules.match import MISSING, check_pointer, matches, nearest, overlap, resolve

RFC_6901 = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC_6901),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_pointers_lead_where_the_rfc_says(pointer, value):
    """The examples of RFC 6901, section 5."""
    assert resolve(RFC_6901, pointer) == value


@pytest.mark.parametrize(
    "pointer",
    ["/nope", "/foo/2", "/foo/-", "/foo/01", "/foo/-1", "/foo/bar", "/a~1b/x", "/foo/٠", "/foo/99999999999"],
)
def test_a_pointer_into_nothing_is_missing(pointer):
    """Which is not the same as a null that is there."""
    assert resolve(RFC_6901, pointer) is MISSING
    assert resolve({"a": None}, "/a") is None


def test_tilde_escapes_are_read_in_the_right_order():
    """`~01` is the name `~1`, not a slash."""
    assert resolve({"~1": "yes", "/": "no"}, "/~01") == "yes"


@pytest.mark.parametrize("pointer", ["foo", "/a~2", "/a~"])
def test_a_malformed_pointer_is_explained(pointer):
    """At the edge as a sentence, in the engine as an error."""
    assert check_pointer(pointer)
    with pytest.raises(ValueError, match="JSON pointer"):
        resolve({}, pointer)


def test_a_good_pointer_has_nothing_wrong():
    """Also the empty one, which is the whole document."""
    assert check_pointer("") is check_pointer("/a~0~1/0") is None


@pytest.mark.parametrize(
    ("pattern", "type", "expected"),
    [
        ("com.shop.order", "com.shop.order", True),
        ("com.shop.order", "com.shop.orders", False),
        ("com.shop.*", "com.shop.order", True),
        ("com.shop.*", "com.shop.order.paid", True),
        ("com.shop.*", "com.shop", False),
        ("com.shop.*", "com.shopping.order", False),
        ("*", "anything.at.all", True),
        ("*.created", "com.shop.order.created", True),
        ("*.created", "created", False),
        ("com.*.paid", "com.shop.order.paid", True),
        ("com.*.paid", "com.paid", False),
        ("a.*.b.*.c", "a.x.b.b.y.c", True),
        ("a.*.b.*.c", "a.b.x.c", False),
        ("order*", "orders", False),
        ("", "", True),
    ],
)
def test_a_star_stands_for_one_or_more_whole_segments(pattern, type, expected):
    """Segments are what stands between dots."""
    assert matches(pattern, type) is expected


def test_many_stars_against_a_long_type_stay_quick():
    """No exponential search for whoever sends such a type."""
    assert not matches(".".join(["*", "a"] * 40 + ["b"]), ".".join(["a"] * 2_000))


def test_the_nearest_name_helps_whoever_mistyped_one():
    """The close one, or some of what there is."""
    assert nearest("order-shiped", {"order-shipped": 1, "welcome": 2}) == "Did you mean 'order-shipped'?"
    assert nearest("zzz", ["b", "a"]) == "There is 'a', 'b'."
    assert nearest("zzz", "abcdefg") == "There is 'a', 'b', 'c', 'd', 'e' and others."
    assert nearest("zzz", []) == "None exists yet."


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b.c", True),
        ("a.*", "a", False),
        ("a.*", "*.z", True),
        ("a.*.c", "*.b", False),
        ("*", "x", True),
        ("*.*", "x", False),
        ("a.*.z", "a.b.*", True),
        (".".join(["*"] * 120), ".".join(["*", "a"] * 60), True),
    ],
)
def test_two_patterns_meet_when_some_type_fits_both(one, other, meet):
    """From either side, and for long ones in no time."""
    assert overlap(one, other) is overlap(other, one) is meet
