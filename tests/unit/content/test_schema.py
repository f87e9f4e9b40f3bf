"""Schemas of event data: what is accepted as one, what they say about data, and what they can never do."""

from __future__ import annotations

import socket
import time

import pytest

from clarion.content.templates import schema as schema_module
from clarion.content.templates.schema import Schema, SchemaRefused

ORDER = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Z]-[0-9]+$"},
        "to": {"format": "email"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "$defs": {"line": {"type": "object", "properties": {"q/ty": {"type": "integer"}}}},
}


def refusals(document: dict) -> list[tuple[str, str]]:
    """Where and why a schema is refused."""
    with pytest.raises(SchemaRefused) as refused:
        Schema(document)
    return [(m.pointer, m.detail) for m in refused.value.mismatches]


def test_data_that_fits_has_no_mismatch():
    """Also formats are checked: that is what people write them for."""
    assert Schema(ORDER).mismatches({"id": "A-1", "to": "ada@example.org", "lines": [{"q/ty": 2}]}, 60) == []


def test_every_mismatch_is_told_with_its_place_and_without_the_value():
    """Data may be personal, and answers end up in logs."""
    data = {"id": "s3cret", "to": "s3cret", "lines": [{}, {"q/ty": "s3cret"}]}
    found = Schema(ORDER).mismatches(data, 70)
    assert sorted(m.pointer for m in found) == ["/id", "/lines/1/q~1ty", "/to"]
    assert all(m.detail and "s3cret" not in m.detail for m in found)


def test_a_missing_field_is_named():
    """At the object that lacks it."""
    (found,) = Schema(ORDER).mismatches({}, 2)
    assert (found.pointer, "id" in found.detail) == ("", True)


def test_what_is_wrong_with_a_schema_is_told_all_at_once():
    """With pointers into the schema."""
    wrong = {"type": "objekt", "properties": {"a": {"minimum": "x"}}}
    assert sorted(pointer for pointer, _ in refusals(wrong)) == ["/properties/a/minimum", "/type"]


@pytest.mark.parametrize(
    "ref", ["http://127.0.0.1:{port}/x", "file:///etc/passwd", "other.json", "#name", ""]
)
def test_nothing_is_ever_fetched(ref):
    """A reference leads into the schema itself or the schema is refused; nobody is called."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.05)
        where = ref.format(port=server.getsockname()[1])
        for document in ({"$ref": where}, {"properties": {"a": {"items": {"$ref": where}}}}):
            ((pointer, detail),) = refusals(document)
            assert pointer.endswith("/$ref")
            assert "into this schema" in detail
        Schema(
            {"$id": f"http://127.0.0.1:{server.getsockname()[1]}/id", "$defs": {"a": {}}, "$ref": "#/$defs/a"}
        )
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "document",
    [
        {"$ref": "#"},
        {"properties": {"a": {"$ref": "#"}}},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"},
        {"properties": {"a": {"$ref": "#/properties"}}},
    ],
)
def test_a_schema_in_a_circle_is_refused(document):
    """Its cost would grow with the power of the depth of the data."""
    assert "refers to itself" in refusals(document)[0][1]


def doubling(levels: int, **more: object) -> dict:
    """Every level refers to the next one twice."""
    defs: dict = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2, **more} for n in range(levels)}
    return {"$defs": {**defs, f"a{levels}": {}}, "$ref": "#/$defs/a0"}


def nested(levels: int) -> dict:
    """Every level looks at all below it once more."""
    inner: dict = {"properties": {"a": {}}}
    for _ in range(levels):
        inner = {"allOf": [inner], "unevaluatedProperties": False}
    return inner


@pytest.mark.parametrize("document", [doubling(24), nested(14), {"anyOf": [{"type": "null"}] * 1_200}])
def test_a_schema_that_explodes_is_refused_at_once(document):
    """Small to write, forever to check."""
    started = time.process_time()
    assert "subschemas" in refusals(document)[0][1]
    assert time.process_time() - started < 0.5


def test_a_long_chain_of_references_is_refused():
    """It would exhaust the stack."""
    defs = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(900)}
    assert "one behind another" in refusals({"$defs": defs, "$ref": "#/$defs/a0"})[0][1]


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "(a{1000}){1000}", "("])
def test_only_patterns_that_run_in_linear_time_are_taken(pattern):
    """And those that do stay fast on what breaks others."""
    ((pointer, _),) = refusals({"properties": {"a": {"pattern": pattern}}})
    assert pointer == "/properties/a/pattern"


def test_a_pattern_that_ruins_others_costs_nothing():
    """Catastrophic backtracking does not exist here."""
    started = time.process_time()
    assert Schema({"pattern": "^(a+)+$"}).mismatches("a" * 100_000 + "!", 100_002)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
        ({"$schema": 7}, "/$schema"),
        ({"items": {"$id": "https://elsewhere.example"}}, "/items/$id"),
        ({"items": {"$dynamicRef": "#x"}}, "/items/$dynamicRef"),
        ({"$ref": "#/$defs/none"}, "/$ref"),
        ({"description": "x" * 70_000}, ""),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_place(document, pointer):
    """With words that say what to do instead."""
    assert refusals(document)[0][0] == pointer


def test_properties_may_be_called_like_keywords():
    """Only their place makes them keywords."""
    document = {
        "properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}, "enum": {"type": "string"}}
    }
    assert Schema(document).mismatches({"$ref": "a", "$id": "b", "enum": "c"}, 30) == []
    assert len(Schema(document).mismatches({"$ref": 1, "$id": 2, "enum": 3}, 30)) == 3


def test_data_too_large_for_its_schema_is_refused_unread():
    """Time is bounded by the product of both."""
    schema = Schema({"items": {"allOf": [{"type": "integer"}] * 900}})
    (found,) = schema.mismatches([1] * 100_000, 200_001)
    assert "too large" in found.detail


def test_of_very_many_mismatches_only_the_first_is_looked_for(monkeypatch):
    """Listing them takes memory for each."""
    monkeypatch.setattr(schema_module, "LIST_WORK", 50)
    schema = Schema({"items": {"type": "integer"}})
    assert len(schema.mismatches(["x"] * 100, 400)) == 1
    assert len(schema.mismatches(["x"] * 4, 16)) == 4
