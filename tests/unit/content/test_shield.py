"""Python's own methods are not in reach, whatever a name says."""

import msgspec
import pytest

from clarion.content.templates.attribute_guard import METHODS, reaches, shielded
from clarion.errors import ContentError
from tests.unit.content.people import reader, text

DATA = {"n": "pop", "a": [2, 1], "o": {"k": 1}}


@pytest.mark.parametrize("name", sorted(METHODS - {"items"}))
@pytest.mark.parametrize(
    "source", ["{{ o.NAME }}", "{{ a.NAME }}", "{{ data['NAME'] ~ '' }}", "{{ user.attributes.NAME }}"]
)
def test_a_missing_field_with_the_name_of_a_method_is_a_missing_field(name, source):
    """Not a method, and not where it lies in memory."""
    with pytest.raises(ContentError, match="has no value"):
        text(source.replace("NAME", name), DATA)


@pytest.mark.parametrize("source", ["{{ data[n] }}", "{{ o[n] }}", "{{ a[n] }}", "{{ o[data.n] }}"])
def test_nor_is_one_named_by_the_data(source):
    """The key comes with the event."""
    with pytest.raises(ContentError, match="has no value"):
        text(source, DATA)


@pytest.mark.parametrize(
    "source", ["{{ [o]|map(attribute='pop')|list }}", "{{ [o]|map(attribute=n)|list }}", "{{ o.items ~ '' }}"]
)
def test_nor_by_the_argument_of_a_filter(source):
    """It is nothing, or null."""
    assert "method" not in text("x" + source, DATA)


def test_fields_with_such_names_are_ordinary_fields():
    """When they are there."""
    data = {"items": [{"count": 3}], "values": {"keys": "k"}, "index": 1}
    source = "{{ data.items[0].count }} {{ data.values.keys }} {{ index }} {% for i in items %}{{ i.count }}{% endfor %}"
    assert text(source, data) == "3 k 1 3"
    assert text("{{ user.attributes.items }}", user=reader(items=7)) == "7"


def test_shielded_data_work_like_data():
    """Loops, filters, tests, JSON."""
    source = (
        "{% for k, v in o|items %}{{ k }}{{ v }}{% endfor %} {{ a|sort|join }} {{ o|length }} {{ a == [2, 1] }} "
        "{{ o is mapping }} {{ a|first }} {{ o|tojson }} {{ data[n]|default('-') }}"
    )
    assert text(source, DATA) == 'k1 12 1 true true 2 {"k":1} -'
    assert msgspec.json.encode(shielded(DATA)) == msgspec.json.encode(DATA)


@pytest.mark.parametrize(
    ("source", "may"),
    [
        ("{{ a.b }}{{ a[0] }}{{ a['b'] }}{{ a|join }}{% for i in items %}{{ i }}{% endfor %}", False),
        ("{{ a.items }}", True),
        ("{{ a['pop'] }}", True),
        ("{{ a[b] }}", True),
        ("{{ a|map(attribute='x') }}", True),
        ("[{{ [1, 2]|length }}]", False),
    ],
)
def test_only_sources_that_could_reach_one_need_the_shield(source, may):
    """It costs a copy of the data."""
    assert reaches(source) is may
