"""How a WhatsApp message may be sent: as free text, as an approved template, or not at all."""

import pytest

from clarion.model.content import WhatsAppContent
from clarion.model.ids import Instant
from clarion.model.status import Reason
from clarion.model.whatsapp import WINDOW_MS, Approval, WhatsAppTemplate, WhatsAppTemplates
from clarion.rules.whatsapp import Allowed, NotAllowed, allowed

NOW = Instant(1_800_000_000_000)
JUST_OPEN = Instant(NOW - WINDOW_MS + 1)
TEXT = WhatsAppContent(text="Hi")
BOTH = WhatsAppContent(text="Hi", template="shipped", language="en_US", parameters=("A-1",))
ONLY_TEMPLATE = WhatsAppContent(template="shipped", language="en_US", parameters=("A-1",))


def known(*templates):
    return WhatsAppTemplates(key="wa", templates=templates, synced_at=NOW)


def template(name="shipped", language="en_US", approval=Approval.APPROVED, **more):
    return WhatsAppTemplate(name=name, language=language, approval=approval, **more)


@pytest.mark.parametrize("content", [TEXT, BOTH])
def test_text_goes_while_the_window_is_open(content):
    """To the last millisecond of 24 hours, and without the template."""
    assert allowed(content, JUST_OPEN, known(), NOW) == Allowed(TEXT)


@pytest.mark.parametrize("heard_at", [None, Instant(NOW - WINDOW_MS)])
def test_text_alone_goes_nowhere_once_it_is_closed(heard_at):
    """It says since when."""
    verdict = allowed(TEXT, heard_at, None, NOW)
    assert isinstance(verdict, NotAllowed)
    assert verdict.reason is Reason.WINDOW_CLOSED
    assert ("2027-01-15T08:00:00" in verdict.detail) == (heard_at is not None)


def test_a_template_goes_once_it_is_closed():
    """Without the text, with what the service lists about it."""
    listed = template(parameters=("1",))
    assert allowed(BOTH, None, known(listed), NOW) == Allowed(ONLY_TEMPLATE, listed)


def test_a_template_goes_also_while_it_is_open_if_there_is_no_text():
    """A template may always be sent."""
    listed = template()
    assert allowed(ONLY_TEMPLATE, JUST_OPEN, known(listed), NOW) == Allowed(ONLY_TEMPLATE, listed)


def test_before_the_first_list_the_service_decides():
    """Nothing is known about it here."""
    assert allowed(BOTH, None, None, NOW) == Allowed(ONLY_TEMPLATE)


@pytest.mark.parametrize("approval", [one for one in Approval if one is not Approval.APPROVED])
def test_a_template_that_is_not_approved_goes_nowhere(approval):
    """It says in which state it is."""
    verdict = allowed(BOTH, None, known(template(approval=approval)), NOW)
    assert isinstance(verdict, NotAllowed)
    assert verdict.reason is Reason.TEMPLATE_NOT_APPROVED
    assert verdict.detail == f"the template `shipped` in `en_US` is {approval} at WhatsApp"


@pytest.mark.parametrize("listed", [(), (template("other"),), (template(language="de"),)])
def test_a_template_that_does_not_exist_goes_nowhere(listed):
    """Nor in another language."""
    verdict = allowed(BOTH, None, known(*listed), NOW)
    assert isinstance(verdict, NotAllowed)
    assert verdict.reason is Reason.TEMPLATE_NOT_APPROVED
    assert "no template `shipped` in `en_US`, as of 2027-01-15T08:00:00" in verdict.detail


@pytest.mark.parametrize(
    ("asked", "there", "taken"),
    [
        ("en", ("en_US", "en_GB"), "en_GB"),
        ("en_AU", ("de", "en"), "en"),
        ("en_US", ("en", "en_US"), "en_US"),
        ("pt-BR", ("pt_BR",), "pt_BR"),
    ],
)
def test_the_nearest_language_is_taken(asked, there, taken):
    """The exact one, else the same language of another region."""
    content = WhatsAppContent(template="shipped", language=asked)
    verdict = allowed(content, None, known(*(template(language=one) for one in there)), NOW)
    assert isinstance(verdict, Allowed)
    assert verdict.content.language == taken
    assert verdict.template == template(language=taken)


def test_of_two_regions_the_approved_one_is_taken():
    """The other one would not be sent."""
    listed = (template(language="en_GB", approval=Approval.PAUSED), template(language="en_US"))
    verdict = allowed(WhatsAppContent(template="shipped", language="en"), None, known(*listed), NOW)
    assert isinstance(verdict, Allowed)
    assert verdict.content.language == "en_US"


def test_a_template_is_found_by_the_id_of_its_service():
    """Whatever language the content is in: the id names one already."""
    listed = template(id="HX1", language="de")
    verdict = allowed(WhatsAppContent(template="HX1", language="en"), None, known(listed), NOW)
    assert isinstance(verdict, Allowed)
    assert verdict.template == listed
