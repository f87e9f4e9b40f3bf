"""What leaves for a language model names nobody, and what comes says nothing that it was not given."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.rules.generated import invented
from clarion.rules.masking import UnknownPlaceholder, masked, unmasked

GIVEN = '{"shop": "Rosa", "total": 12.5, "count": 3, "see": "https://shop.example/orders/7", "who": "[[1]]"}'


def test_personal_data_are_replaced_and_come_back():
    """Addresses, long numbers, and what is known of the user, wherever they stand; nothing else."""
    value = {
        "text": "Ada (ada@example.com, +49 151 1234567) asked about order 4711. Adamant.",
        "card": 4_111_111_111_111_111,
        "inner": [{"again": "ada@example.com"}, True, None, 3],
    }
    out, names = masked(value, ["ada@example.com", "Ada"])
    sent = msgspec.json.encode(out).decode()
    for secret in ("ada@", "1234567", "4111111111111111"):
        assert secret not in sent
    assert out["text"].endswith("asked about order 4711. Adamant.")
    assert out["inner"] == [{"again": out["text"].split("(")[1].split(",")[0]}, True, None, 3]
    assert unmasked(out, names) == {**value, "card": "4111111111111111"}


def test_a_placeholder_that_nobody_gave_is_refused():
    """Neither one that was made up, nor one that the data had."""
    out, names = masked({"a": "see [[1]] of ada@example.com"}, [])
    assert out == {"a": "see  of [[1]]"}
    with pytest.raises(UnknownPlaceholder):
        unmasked("[[2]]", names)


@given(st.lists(st.sampled_from(["ada", "ada@b.de", "+49 151 1234567", "x", "[[1]]", " ", ","])).map("".join))
def test_nothing_known_leaves(text):
    """However it is put together: neither the name as a word, nor an address, nor a number."""
    out, names = masked(text, ["ada"])
    assert "ada@b.de" not in out
    assert "1234567" not in out
    assert unmasked(out, names) == text.replace("[[1]]", "")


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ({"line": "Rosa thanks [[1]] for 3 things, 12.5 in all."}, None),
        ({"line": "See HTTPS://shop.example/orders/7."}, None),
        ({"line": "That is it. Really"}, None),
        ({"line": "See https://evil.example/orders"}, "a link"),
        ({"line": "See evil.example for more"}, "a link"),
        ({"line": "See www.evil.example"}, "a link"),
        ({"line": "See ev\u200bil.example"}, "a link"),
        ({"line": "See ｅｖｉｌ．ｅｘａｍｐｌｅ"}, "a link"),
        ({"line": "Write to rosa@shop.example"}, "an address"),
        ({"line": "You save 20 percent"}, "a number"),
        ({"line": "You save ٢٠ percent"}, "a number"),
        ({"line": "12.50"}, "a number"),
        ({"price": 13}, "a number"),
        ({"price": 12.5, "ok": True}, None),
        ({"20 percent": "off"}, "a number"),
        (["3", ["4"]], "a number"),
    ],
)
def test_what_the_input_did_not_have_is_found(written, what):
    """Links, addresses and numbers, in whatever letters."""
    assert invented(written, GIVEN) == what
