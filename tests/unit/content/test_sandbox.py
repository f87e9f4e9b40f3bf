"""What a hostile or clumsy template cannot do."""

import time

import pytest

from clarion.content import Renderer
from clarion.content.templates.engine import WITHHELD_FILTERS
from clarion.content.templates.sandbox import FILTERS
from clarion.errors import ContentError
from clarion.model.channel import Channel
from tests.unit.content.people import render, sms, template, text

LOOPS = {
    "a huge range": "{% for i in range(1000000000) %}x{% endfor %}",
    "loops in loops": "{% for i in range(1000) %}{% for j in range(1000) %}{% for k in range(1000) %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "a loop over long data": "{% for i in many %}{% for j in many %}{{ i }}{% endfor %}{% endfor %}",
    "a long text in a loop": "{% for i in range(1000) %}{% for j in range(10) %}{{ long }}{% endfor %}{% endfor %}",
    "lists made in a loop": "{% for i in range(1000) %}{% set x = range(1000)|reverse %}{{ x }}{% endfor %}",
    "a recursive loop": "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
}
GROWTH = {
    "repeated text": "{{ 'x' * 1000000000 }}",
    "repeated list": "{{ [1] * 100000000 }}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "text doubled over and over": "{% set a = long ~ long %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "text doubled in nested loops": "".join(f"{{% for a{i + 1} in [a{i} ~ a{i}] %}}" for i in range(40)),
    "a replacement that grows": "{{ long|replace('a', long) }}",
    "a separator that grows": "{{ range(1000)|join(long) }}",
    "json of json of json": "{{ '\"'" + "|tojson" * 40 + " }}",
    "a wide format": "{{ '%1000000000d'|format(1) }}",
    "a deep indent": "{{ long|indent(1000000000) }}",
    "many batches": "{{ range(10)|batch(1000000000, 'x') }}",
    "a filter by its name": "{{ [long]|map('indent', 1000000000)|join }}",
    "a product": "{{ n" + "|times(1000000)" * 30 + " }}",
    "a number with a million digits": "{{ '1e1000000'|number }}",
    "a value caught in a block": "{% set a %}{{ long }}{% endset %}" * 30,
}
DEPTH = {
    "brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "lists": "{{ " + "[" * 5000 + "1" + "]" * 5000 + " }}",
    "ifs": "{% if true %}" * 5000 + "{% endif %}" * 5000,
    "elifs": "{% if n == 1 %}" + "{% elif n == 2 %}" * 5000 + "{% endif %}",
    "a long sum": "{{ 1" + " + 1" * 9000 + " }}",
    "a long path": "{{ a" + ".a" * 9000 + " }}",
    "many filters": "{{ 1" + "|abs" * 9000 + " }}",
    "many signs": "{{ " + "-" * 9000 + "1 }}",
    "many nots": "{{ " + "not " * 9000 + "1 }}",
    "many ands": "{{ 1" + " and 1" * 9000 + " }}",
    "many conditions": "{{ " + "1 if n else " * 9000 + "1 }}",
    "many indexes": "{{ many" + "[0]" * 9000 + " }}",
    "a macro that calls itself": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "a block that calls itself": "{% block a %}{{ self.a() }}{% endblock %}",
    "a template that includes itself": "{% include '1' %}",
}
REACH = {
    "a method that changes the data": "{{ data.pop('n') }}",
    "a method of a dictionary": "{{ data.keys() }}",
    "a method of a list": "{{ many.append(1) }}",
    "a call of a call": "{{ (data.keys)() }}",
    "a call behind a test": "{{ n is defined and data.pop('n') }}",
    "a call behind a negation": "{{ not data.pop('n') }}",
    "a call of an index": "{{ data['pop']('n') }}",
    "a class": "{{ data.__class__ }}",
    "a class by a filter": "{{ data|attr('__class__') }}",
    "a class by a filter's argument": "{{ [data]|map(attribute='__class__')|first }}",
    "the state": "{{ debug() }}",
    "a name space": "{% set ns = namespace(a=1) %}",
    "a file": "{% include '/etc/passwd' %}",
    "an import": "{% import 'os' as os %}",
    "a parent": "{% extends '/etc/passwd' %}",
    "a loop's own call": "{% for i in [1] %}{{ loop.cycle(1) }}{% endfor %}",
    "unescaped text": "{{ long|safe }}",
    "no escaping": "{% autoescape false %}{{ long }}{% endautoescape %}",
    "a raw block": "{% raw %}{{ data.pop('n') }}{% endraw %}",
    "a dictionary": "{{ {'a': 1} }}",
}
HOSTILE = LOOPS | GROWTH | DEPTH | REACH


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_fails_quickly_and_alone(source):
    """At once, as the failure of that message, and the next message is fine."""
    renderer = Renderer()
    data = {"n": 10**6, "many": list(range(2000)), "long": "a" * 20_000}
    assert text("warm {{ 1 }}", renderer=renderer) == "warm 1"
    before = time.process_time()
    with pytest.raises(ContentError):
        render(sms(source), data, renderer=renderer)
    assert time.process_time() - before < 0.5
    assert data["n"] == 10**6
    assert text("fine {{ 1 }}", renderer=renderer) == "fine 1"


COPIES = {
    "a list of itself twice": "{% set x = [data] %}" + "{% set x = [x, x] %}" * 40 + "{{ x|tojson }}",
    "printed": "{% set x = [data, 1] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
    "a tuple": "{% set x = (data, 1) %}" + "{% set x = (x, x) %}" * 40 + "{{ x|length }}",
    "one of two": "{% set x = data %}" + "{% set x = [x, x] if n else x %}" * 40 + "{{ x }}",
    "in the other branch": "{% set x = data %}"
    + "{% if n %}{% set x = [x, x] %}{% endif %}" * 40
    + "{{ x }}",
    "by two names": "{% set a = data %}{% set b = data %}"
    + "{% set a = [a, b] %}{% set b = [b, a] %}" * 20
    + "{{ a }}",
    "through a filter": "{% set x = [data] %}" + "{% set x = [x, x|reverse]|list %}" * 40 + "{{ x }}",
    "lists put together": "{% set x = many %}" + "{% set x = x + x %}" * 40 + "{{ x|length }}",
    "loops": "".join(f"{{% for a{i + 1} in [[a{i}, a{i}]] %}}" for i in range(40)).replace("a0", "data")
    + "{{ a40 }}"
    + "{% endfor %}" * 40,
    "at once": "{{ [" + ", ".join(["many"] * 60) + "]|tojson }}",
}
NESTED = {
    "a list in a list": "{% set x = [data] %}" + "{% set x = [x] %}" * 1500 + "{{ x }}",
    "as json": "{% set x = [data] %}" + "{% set x = [x] %}" * 1500 + "{{ x|tojson }}",
    "in loops": "".join(f"{{% for a{i + 1} in [[[a{i}]]] %}}" for i in range(20)).replace("a0", "data")
    + "{{ a20 }}"
    + "{% endfor %}" * 20,
}
SMALL = {
    "a text for every item": "{{ zeros|map('default', long, true)|map('upper')|length }}",
    "a replacement in every item": "{{ zeros|map('replace', '0', long)|length }}",
    "a written text for every item": "{{ zeros|map('default', '" + "x" * 5000 + "', true)|length }}",
    "every item looked up in a list": "{{ many|select('in', zeros)|length }}",
    "every field looked up in a list": "{{ rows|rejectattr('a', 'in', many)|length }}",
    "a test by a name from the data": "{{ many|select(test, zeros)|length }}",
    "a filter by a name put together": "{{ many|map('re' ~ 'place', '0', long)|length }}",
}


@pytest.mark.parametrize("source", [*COPIES.values(), *NESTED.values()], ids=[*COPIES, *NESTED])
def test_a_value_that_would_grow_while_it_is_shared_is_refused_when_it_is_compiled(source):
    """Before anything could walk through it: the engine makes such values at no cost."""
    with pytest.raises(ContentError, match=r"copies of what it is made of|inside one another"):
        text(source, {"n": 1, "many": [1, 2]})


@pytest.mark.parametrize("source", SMALL.values(), ids=SMALL)
def test_what_runs_for_every_item_must_be_written_out_and_small(source):
    """It is one step of the engine, however long the list is."""
    with pytest.raises(ContentError, match=r"written out|in quotes|at most 100"):
        text(source, {"zeros": [0], "many": [1], "long": "x", "rows": [{"a": 1}], "test": "in"})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% set total = a + b %}{% set total = total + a %}{% set total = total + b %}{{ total }}", "6"),
        ("{% set s = a %}" + "{% set s = s ~ ', ' ~ b if b else s %}" * 6 + "{{ s }}", "1" + ", 2" * 6),
        ("{% for x in [a, b, 3, 4, 5, 6] %}{% set y = [x, a] %}{{ y|join('-') }} {% endfor %}", None),
        ("{% set parts = [street, city] %}{% set line = parts|join(', ') %}{{ line }}", "Elm 1, Ulm"),
        ("{{ [a, b]|map('default', '-')|join }}{{ rows|selectattr('s', 'in', ['x', 'y'])|length }}", "121"),
        ("{{ rows|map(attribute='s')|join }}{{ rows|selectattr('s', 'eq', want)|length }}", "xz1"),
    ],
)
def test_values_made_of_others_in_usual_numbers_are_fine(source, said):
    """Sums, addresses, short lists."""
    data = {"a": 1, "b": 2, "street": "Elm 1", "city": "Ulm", "rows": [{"s": "x"}, {"s": "z"}], "want": "z"}
    assert text(source, data) == (said or "1-1 2-1 3-1 4-1 5-1 6-1 ")


@pytest.mark.parametrize(
    "step",
    [
        "{% if many is eq(same) %}{% endif %}",
        "{% if text is startingwith(text) %}{% endif %}",
        "{% if text is not upper %}{% endif %}",
        "{% set x = text[-1] %}",
        "{% if 'z' in many %}{% endif %}",
        "{% if many == same %}{% endif %}",
        "{% set x = many|sort %}",
        "{% set x = many|join %}",
        "{% set x = many|map('upper')|max %}",
        "{{ long|replace('a', 'b')|length }}",
    ],
)
def test_a_loop_over_steps_that_walk_through_big_data_ends_soon(step):
    """The bigger the data, the fewer such steps; the time stays the same."""
    many = [f"s{n}" for n in range(20_000)]
    data = {"many": many, "same": list(many), "long": "a" * 200_000, "text": "A" * 2_000_000}
    renderer = Renderer()
    before = time.process_time()
    with pytest.raises(ContentError, match="too many steps"):
        text("{% for i in range(1000) %}" + step + "{% endfor %}", data, renderer=renderer)
    assert time.process_time() - before < 2.0


@pytest.mark.parametrize(
    "step", ["map('money', 'EUR')", "map('rich')", "map('tojson')", "map('number')|map('isolate')"]
)
def test_a_filter_called_for_every_item_of_a_long_list_ends_soon(step):
    """Although the engine takes all of it for one step."""
    data = {"many": list(range(500_000))}
    before = time.process_time()
    with pytest.raises(ContentError, match="too many steps"):
        text("{{ many|" + step + "|length }}", data)
    assert time.process_time() - before < 1.0
    assert text("{{ many|" + step + "|length }}", {"many": list(range(200))}) == "200"


def test_data_nested_deeper_than_a_template_may_look_fail_their_message():
    """Instead of the worker."""
    nested: list = []
    for _ in range(5_000):
        nested = [nested]
    with pytest.raises(ContentError, match="nested too deep"):
        text("{{ data[key] }}", {"key": "x", "nested": nested})


def test_plain_text_in_a_loop_is_bounded_too():
    """Fuel counts instructions; this counts characters."""
    with pytest.raises(ContentError, match="inside loops"):
        text("{% for i in range(1000) %}" + "x" * 9000 + "{% endfor %}")
    with pytest.raises(ContentError, match="longer than"):
        text("{% for i in range(40) %}" + "x" * 8000 + "{% endfor %}")


def test_a_source_is_bounded():
    """Megabytes belong elsewhere."""
    with pytest.raises(ContentError, match="at most 100000"):
        text("x{{ 1 }}" * 20_000)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_every_filter_that_is_promised_exists(name):
    """A filter on the list is a filter of the engine."""
    said = ""
    try:
        text("{{ value|" + name + " }}", {"value": "x"})
    except ContentError as error:
        said = str(error)
    assert "unknown" not in said
    assert "no filter" not in said


@pytest.mark.parametrize("name", [*WITHHELD_FILTERS, "xmlattr", "random", "urlize", "center"])
def test_a_filter_that_is_not_promised_is_out_of_reach(name):
    """Neither by name nor as the argument of another filter, whatever the engine learns in a later version."""
    with pytest.raises(ContentError, match="no filter"):
        text("{{ value|" + name + " }}", {"value": "x"})
    with pytest.raises(ContentError, match="no filter"):
        text("{{ [value]|map('" + name + "')|join }}", {"value": "x"})
    with pytest.raises(ContentError, match="in quotes"):
        text("{{ [value]|map(name)|join }}", {"value": "x", "name": name})


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("{{ name|uper }}", "did you mean `upper`"),
        ("{{ price * 3 }}", "write `a|times(b)`"),
        ("{{ name.upper() }}", "`value|upper(...)`"),
        ("{{ name.shout() }}", "`value|filter(...)`"),
        ("{{ rnge(3) }}", "did you mean `range`"),
        ("{{ name is definde }}", "did you mean `defined`"),
        ("a\n{{ name", "never closed"),
        ("a\n{# name", "never closed"),
        ("{% macro a() %}", "`macro` is not available"),
        ("{{ name ? }}", "unexpected `?`"),
    ],
)
def test_a_refusal_says_what_to_write_instead(source, hint):
    """An author is helped, not only stopped."""
    with pytest.raises(ContentError) as caught:
        text(source)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ 'a}}b' }}", "a}}b"),
        ("{{- ' a ' -}} b", " a b"),
        ("{# note #}x", "x"),
        ("{% set total = price|times(3) + 1 %}{{ total }}", "31"),
        ("{% for i in items if i.ok %}{{ i.name }}{% if not loop.last %}, {% endif %}{% endfor %}", "b, c"),
        ("{% for k, v in pairs|items %}{{ k }}={{ v }};{% else %}none{% endfor %}", "x=1;"),
        ("{{ items|map(attribute='name')|join(', ') }}", "a, b, c"),
        ("{{ items|selectattr('ok')|length }}", "2"),
        ("{% if price is divisibleby(5) and not (price in [1, 2]) %}yes{% endif %}", "yes"),
        ("{% if price is not divisibleby(3) %}yes{% endif %}", "yes"),
        ("{{ 'big' if price > 5 else 'small' }}", "big"),
        ("{{ items[0].name }}{{ items[-1]['name'] }}{{ 'abc'[1:] }}", "acbc"),
        ("{{ price // 3 }} {{ price % 3 }} {{ -price }} {{ price / 4 }}", "3 1 -10 2.5"),
        ("{% for i in range(3) %}{{ loop.index }}{% endfor %}{{ range(2, 9, 3)|join }}", "123258"),
        ("{{ 'x' ~ price ~ 'y' }}", "x10y"),
        ("a {single} {brace} }} %}", "a {single} {brace} }} %}"),
    ],
)
def test_what_authors_need_works(source, said):
    """Conditions, loops, arithmetic, lists, and text with braces in it."""
    items = [{"name": "a", "ok": False}, {"name": "b", "ok": True}, {"name": "c", "ok": True}]
    assert text(source, {"price": 10, "items": items, "pairs": {"x": 1}}) == said


@pytest.mark.parametrize("name", ["look", "passed", "as_text", "further"])
def test_filters_that_are_not_for_authors_do_nothing_for_them(name):
    """Not by name, and by the argument of another filter nothing breaks."""
    with pytest.raises(ContentError, match="no filter"):
        text("{{ 1|" + name + " }}")
    slow = "{% for i in range(1000) %}{% for j in range(1000) %}{% set x = [v, 9, '77 x']|map(name)|sort %}{% endfor %}{% endfor %}"
    content = template(Channel.EMAIL, subject="S {{ v }}", text=slow)
    for source in (content, template(Channel.EMAIL, subject="S", text=slow + "{{ v|money }}")):
        with pytest.raises(ContentError):
            render(source, {"name": name, "v": "98 1"}, channel=Channel.EMAIL)


def test_what_takes_long_is_ended_where_it_takes_long():
    """With field and line, also when all fields are rendered at once."""
    slow = "a\n{% for i in range(1000) %}{% for j in range(9) %}\n{% set x = many|sort %}{% endfor %}{% endfor %}"
    content = template(Channel.EMAIL, subject="S {{ 1 }}", text=slow)
    with pytest.raises(ContentError, match="too many steps") as caught:
        render(content, {"many": [str(n) for n in range(5000)]}, channel=Channel.EMAIL)
    assert (caught.value.pointer, caught.value.line) == ("#/channels/email/en/text", 3)


@pytest.mark.parametrize(
    "condition",
    [
        "{% if n == 1 %}a{% elif many == many %}b{% else %}c{% endif %}",
        "{% if 'z' in many %}a{% else %}b{% endif %}",
    ],
)
def test_looking_at_the_time_changes_nothing_else(condition):
    """Conditions keep their meaning."""
    source = "{% for i in range(2) %}" + condition + "{% endfor %}"
    assert text(source, {"n": 2, "many": ["x"]}) == "bb"
