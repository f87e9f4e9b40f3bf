"""What authors see of templates, findings, versions and differences."""

from clarion.content.templates.fields import LAYOUTS
from clarion.dashboard import editor
from clarion.dashboard.editor import TemplateForm
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Template

ORDER = Template(
    key="order",
    version=2,
    channels={Channel.EMAIL: {"en": {"subject": "Order", "html": "<p>one</p>\n<p>two</p>\n<p>three</p>"}}},
    example_data={"n": 1},
)


def changed(**channels: dict) -> Template:
    return Template(
        key="order", channels={Channel(c): by for c, by in channels.items()}, example_data={"n": 1}
    )


def test_what_authors_write_comes_back_as_it_was():
    """Version, partials and times are Clarion's."""
    written = editor.written(ORDER)
    assert set(TemplateForm.__struct_fields__) == {
        "name",
        "default_locale",
        "channels",
        "example_data",
        "data_schema",
    }
    assert written.template("order").channels == ORDER.channels


def test_every_channel_can_be_written_for():
    """A new field of the model needs no change of the page."""
    layouts = editor.layouts()
    assert {c: [f["name"] for f in layout["fields"]] for c, layout in layouts.items()} == {
        str(channel): list(layout.kinds) for channel, layout in LAYOUTS.items()
    }
    for layout in layouts.values():
        assert set(layout["main"]) <= {field["name"] for field in layout["fields"]}


def test_a_pointer_is_a_place_for_people_and_for_the_page():
    """Also one into the settings, and one with escapes."""
    assert editor.place("#/channels/email/de/html") == {
        "where": "email · de · html", "channel": "email", "locale": "de", "field": "html", "partial": "",
    }  # fmt: skip
    assert editor.place("#/channels/sms")["where"] == "SMS"
    assert editor.place("#/default_locale") == {
        "where": "default locale", "channel": "", "locale": "", "field": "default_locale", "partial": "",
    }  # fmt: skip
    assert editor.place("#/partials/foot")["partial"] == "foot"
    assert editor.place("#/partials/clarion~1email")["partial"] == ""
    assert editor.place("#/channels/email/a~1b/x")["locale"] == "a/b"
    assert editor.place("#/channels/pigeon/de")["channel"] == ""
    assert editor.place("")["channel"] == ""


def test_differences_are_told_line_by_line():
    """With a little around them, and the rest left out."""
    new = changed(email={"en": {"subject": "Order", "html": "<p>one</p>\n<p>2</p>\n<p>three</p>"}})
    (change,) = editor.differences(ORDER, new)
    assert change["where"] == "email · en · html"
    assert [(line["mark"], line["text"]) for line in change["lines"] if line["sort"] != "gap"] == [
        ("", "<p>one</p>"), ("-", "<p>two</p>"), ("+", "<p>2</p>"), ("", "<p>three</p>"),
    ]  # fmt: skip


def test_fields_that_came_and_went_are_differences():
    """A language that was removed is not passed over."""
    new = changed(email={"de": {"subject": "Bestellung"}})
    assert [change["where"] for change in editor.differences(ORDER, new)] == [
        "email · en · subject",
        "email · en · html",
        "email · de · subject",
    ]
    assert editor.differences(ORDER, ORDER) == []


def test_a_version_says_where_it_came_from():
    """In words."""
    one = Template(
        key="t", version=3, origin="version 1", published_at=Instant(1_700_000_000_000), channels={}
    )
    (row,) = editor.history([one], one)
    assert (row["version"], row["origin"], row["live"]) == (3, "Rolled back to version 1", True)
    assert row["at"].startswith("2023-11-14T")
