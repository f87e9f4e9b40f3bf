"""Our MJML gives the HTML of the reference implementation."""

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from clarion.content.html.mjml import to_html
from clarion.content.templates.inheritance import resolve
from tests.needs import NPM, require, require_npm

SCRIPT = Path(__file__).parents[2] / "npm" / "compile-mjml.js"
SHOWN = ("href", "src", "alt", "align", "width", "bgcolor")
COLUMN = "<mjml><mj-body><mj-section><mj-column>{}</mj-column></mj-section></mj-body></mjml>"
EXAMPLES = {
    "text and button": COLUMN.format(
        '<mj-text font-size="20px" color="#333333">Hi <b>you</b> &amp; all<br/>there</mj-text>'
        '<mj-button href="https://x.example/?a=1&amp;b=2" background-color="#0055aa">Go</mj-button>'
    ),
    "image, divider, spacer": COLUMN.format(
        '<mj-image src="https://x.example/a.png" alt="A" width="200px" href="https://x.example/"></mj-image>'
        '<mj-divider border-color="#cccccc"></mj-divider><mj-spacer height="30px"></mj-spacer>'
    ),
    "table": COLUMN.format(
        "<mj-table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>3</td></tr></mj-table>"
    ),
    "two columns": "<mjml><mj-body background-color='#f4f4f4'><mj-section background-color='#ffffff'>"
    "<mj-column width='30%'><mj-text>left</mj-text></mj-column>"
    "<mj-column width='70%'><mj-text>right</mj-text></mj-column></mj-section>"
    "<mj-section><mj-column><mj-text>below</mj-text></mj-column></mj-section></mj-body></mjml>",
    "wrapper and group": "<mjml><mj-body><mj-wrapper background-color='#eeeeee'><mj-section><mj-group>"
    "<mj-column><mj-text>a</mj-text></mj-column><mj-column><mj-text>b</mj-text></mj-column>"
    "</mj-group></mj-section></mj-wrapper></mj-body></mjml>",
    "defaults and classes": "<mjml><mj-head><mj-attributes><mj-all font-family='Arial'></mj-all>"
    "<mj-text align='center'></mj-text><mj-class name='big' font-size='30px'></mj-class></mj-attributes></mj-head>"
    "<mj-body><mj-section><mj-column><mj-text mj-class='big'>big</mj-text></mj-column></mj-section></mj-body></mjml>",
    "raw": "<mjml><mj-body><mj-raw><p>raw</p></mj-raw><mj-section><mj-column><mj-text>a</mj-text></mj-column>"
    "</mj-section></mj-body></mjml>",
    "hero": "<mjml><mj-body><mj-hero mode='fixed-height' height='300px' background-color='#2a3448'>"
    "<mj-text color='#ffffff'>Hero</mj-text></mj-hero></mj-body></mjml>",
}


class Structure(HTMLParser):
    """Elements of the body with what can be seen of them, and the words between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[object] = []
        self._inside = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._inside = self._inside or tag == "body"
        if self._inside and tag != "body":
            given = dict(attrs)
            style = {part.strip() for part in (given.get("style") or "").replace(": ", ":").split(";")} - {
                "",
                "word-spacing:normal",
            }  # the default
            shown = {name: given[name] for name in SHOWN if given.get(name)}
            self.seen.append((tag, shown, style))

    def handle_endtag(self, tag):
        if self._inside:
            self.seen.append("/" + tag)

    def handle_data(self, data):
        if self._inside and data.strip():
            self.seen.append(" ".join(data.split()))


@pytest.fixture(scope="module")
def theirs() -> dict[str, str]:
    """The HTML of every example by npm's `mjml`."""
    require_npm("mjml", "MJML compiled by its own authors")
    done = subprocess.run(
        [require("node", "npm packages"), SCRIPT],
        input="\n".join(map(json.dumps, EXAMPLES.values())) + "\n",
        env={"NODE_PATH": str(NPM)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(zip(EXAMPLES, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", EXAMPLES)
def test_elements_styles_and_words_are_those_of_the_reference(theirs, name):
    """In the same order; white space and the order of attributes may differ."""
    ours = to_html(resolve(EXAMPLES[name], {})).text
    assert Structure(ours).seen == Structure(theirs[name]).seen
