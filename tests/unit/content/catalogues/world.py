"""A template in two languages, as authors write them."""

from clarion.content.catalogues import Catalogue, CatalogueEntry, units
from clarion.model.channel import Channel
from clarion.model.setup import Template

HTML_EN = """<!doctype html>
<html lang="en"><head><style>p { color: red }</style></head>
<body>
  <h1>Order {{ number }}</h1>
  {% if late %}<p>We are <b>sorry</b>.</p>{% endif %}
  <img src="https://x.example/en.png" alt="A parcel">
  <a class="button" href="https://x.example/en/{{ number }}">Follow it</a>
</body></html>
"""
HTML_DE = (
    HTML_EN.replace('lang="en"', 'lang="de"')
    .replace("/en", "/de")
    .replace("Order", "Bestellung")
    .replace("We are <b>sorry</b>.", "Es tut uns <b>leid</b>.")
    .replace("A parcel", "Ein Paket")
    .replace("Follow it", "Verfolgen")
)
ORDER = Template(
    key="order",
    channels={
        Channel.EMAIL: {
            "en": {"subject": "Order {{ number }} has left\n", "preheader": "{{ number }}", "html": HTML_EN},
            "de": {
                "subject": "Bestellung {{ number }} ist raus\n",
                "preheader": "{{ number }}",
                "html": HTML_DE,
            },
        },
        Channel.PUSH: {
            "en": {"title": "On its way", "body": "It’s “here”\\now", "url": "https://x.example/en"},
        },
    },
    example_data={"number": "A-1", "late": True},
)


def catalogue(template: Template = ORDER, target: str = "fr", **texts: str) -> Catalogue:
    """A file in which everything is translated to `?`, or as told: `email_html_1="..."`."""
    return Catalogue(
        target=target,
        entries=tuple(
            CatalogueEntry(
                template=template.key,
                name=unit.name,
                source=unit.source,
                target=texts.get(unit.name.replace(".", "_"), foreign(unit.source)),
                line=number + 1,
            )
            for number, unit in enumerate(units(template, "en", target))
        ),
    )


def foreign(text: str) -> str:
    """A translation nobody would mistake for the source, with its tags."""
    return f"«{text}»"
