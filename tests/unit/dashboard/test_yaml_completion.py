"""What may stand at a place of a YAML document."""

import pytest

from clarion.dashboard.yaml_completion import completions

SCHEMA = {
    "$ref": "#/$defs/Document",
    "$defs": {
        "Document": {
            "properties": {
                "name": {"type": "string"},
                "category": {"type": "string"},
                "lane": {"anyOf": [{"$ref": "#/$defs/Lane"}, {"type": "null"}]},
                "paused": {"type": "boolean"},
                "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
            }
        },
        "Lane": {"enum": ["bulk", "normal"]},
        "Kind": {"enum": ["send", "wait", "branch"]},
        "Step": {
            "properties": {
                "key": {"type": "string"},
                "type": {"$ref": "#/$defs/Kind", "default": "send"},
                "for_s": {"type": "integer", "description": "`wait`: how long."},
                "zone": {"type": "string", "description": "`wait`, `branch`: whose clock."},
                "to": {"properties": {"channels": {"type": "array", "items": {"enum": ["email", "sms"]}}}},
                "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
            }
        },
    },
}


def offered(text, **names):
    """What may stand where `|` is."""
    head, _, tail = text.partition("|")
    lines = head.split("\n")
    found = completions(SCHEMA, names, head + tail, len(lines) - 1, len(lines[-1]))
    return [one.text.removesuffix(": ") for one in found.items]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("|", ["name", "category", "lane", "paused", "steps"]),
        ("name: x\nca|", ["category"]),
        ("ca|\nname: x", ["category"]),
        ("name: x\n|\ncategory: y", ["lane", "paused", "steps"]),
        ("lane: |", ["bulk", "normal"]),
        ("lane: bu|", ["bulk"]),
        ("lane: bulk|", []),
        ("paused: |", ["true", "false"]),
        ("name: |", []),
        ("steps:\n  - |", ["key", "type", "to", "steps"]),
        ("steps:\n- key: a\n  type: wait\n  |", ["for_s", "zone", "to", "steps"]),
        ("steps:\n  - key: a\n    |\n    type: branch\n  - type: wait", ["zone", "to", "steps"]),
        ("steps:\n  - key: a\n    type: w|", ["wait"]),
        ("steps:\n  - to:\n      channels: [em|", ["email"]),
        ("steps:\n  - to:\n      channels: [email, |", ["email", "sms"]),
        ("steps:\n  - to:\n      channels:\n        - s|", ["sms"]),
        ("steps:\n- key: a\n  steps:\n  - key: b\n    to:\n      |", ["channels"]),
        ("steps:\n- key: a\n  steps:\n  - key: b\n  ty|", ["type"]),
        ("steps:\n  - key: a\nna|", ["name"]),
        ("steps:\n  - key: a\n\n  # why\n    ty|", ["type"]),
        ("# na|", []),
        ("nothing:\n  na|", []),
        ("\t: [|", []),
    ],
)
def test_what_the_schema_says_of_the_place_is_offered(text, found):
    """Fields that are not there yet, those of the step's type only, and values of enumerations."""
    assert offered(text) == found


def test_documents_that_there_are_are_offered_where_one_is_named():
    """By the name of the field."""
    assert offered("category: or|", category=["orders", "news"]) == ["orders"]


def test_only_what_was_typed_is_replaced():
    """The rest of the line stays."""
    assert completions(SCHEMA, {}, "lane: bu", 0, 8).typed == 2
    assert completions(SCHEMA, {}, "  - ke", 0, 6).typed == 2
