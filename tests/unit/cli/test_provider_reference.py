"""The page of providers is brought up to date, and the words of people stay."""

from clarion.cli.provider_reference import BEGIN, END, features, page_of
from tests.carrier import carrier

INTRO = "# Providers\n\nAll of them.\n"


def test_a_new_provider_gets_a_section_and_a_row():
    """With its channels, what it reports, and the settings with their defaults."""
    page = page_of(INTRO, {"carrier": carrier()})
    assert page.startswith("# Providers\n\nAll of them.\n\n" + BEGIN)
    row = "| [`carrier`](#carrier-carrier-tests) | sms | 10 | second message | `bounced`, `delivered`, `failed` | yes |"
    assert row in page.partition(END)[0]
    assert (
        "## `carrier`: Carrier (tests)\n\nChannels: `sms`. At once: 10. A repeat is a second message." in page
    )
    assert "| `token` (secret) | required |" in page


def test_words_stay_and_facts_are_corrected():
    """Whoever wrote about a provider loses nothing; writing twice changes nothing."""
    page = page_of(INTRO, {"carrier": carrier()})
    told = page.replace("second message.\n", "second message.\n\nIt carries texts.\n", 1)
    told = told.replace("| required |  |", "| required | From its console. |").replace(
        "At once: 10", "At once: 9"
    )
    again = page_of(told, {"carrier": carrier()})
    assert "It carries texts." in again
    assert "| `token` (secret) | required | From its console. |" in again
    assert "At once: 10" in again
    assert page_of(again, {"carrier": carrier()}) == again


def test_a_provider_that_is_gone_is_gone_from_the_page():
    """Section and row."""
    page = page_of(INTRO, {"carrier": carrier()})
    assert "carrier`" not in page_of(page, {})


def test_features_are_data():
    """Whoever compares providers needs no page."""
    assert features(carrier()).receipts == ("bounced", "delivered", "failed")
    assert features(carrier()).inbound
