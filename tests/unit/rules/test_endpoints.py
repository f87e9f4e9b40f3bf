"""Who hears of an event by webhook: every endpoint that wants to, each by a message of its own."""

import msgspec
import pytest

from clarion.model.channel import Channel
from clarion.model.endpoint import Endpoint, SigningSecret
from clarion.model.ids import Instant, message_id
from clarion.model.setup import LadderChannel, SendAll, SendFirst, SendLadder
from clarion.model.status import Reason, Status
from clarion.rules.endpoints import addresses, endpoint_of, hears
from tests.unit.rules.examples import contact, event, person, plan, workflow

WEBHOOK = SendAll(channels=(Channel.WEBHOOK,))


def endpoint(name: str, *events: str) -> Endpoint:
    """An endpoint at a URL of that name."""
    return Endpoint(
        id=name.encode().ljust(16, b"."),
        url=f"https://{name}.example/",
        secrets=(SigningSecret(text="whsec_"),),
        events=events,
        created_at=Instant(0),
    )


SHOP, WAREHOUSE, BILLING = (
    endpoint("shop"),
    endpoint("warehouse", "order.*"),
    endpoint("billing", "bill.*", "tax"),
)


def owner(*endpoints: Endpoint, suppressed: tuple[Endpoint, ...] = (), contacts=()):
    """A user with these endpoints."""
    user = person(contacts=contacts)
    return msgspec.structs.replace(
        user,
        profile=msgspec.structs.replace(user.profile, endpoints=endpoints),
        suppressed=frozenset(one.id for one in suppressed),
    )


def happened(type: str):
    """A CloudEvent of this type."""
    return msgspec.structs.replace(event(), type=type)


def urls(planned):
    """Where the messages go, in order; None for those that stay."""
    return [evaluate.contact and evaluate.contact.address for evaluate in planned.decisions]


@pytest.mark.parametrize(
    ("events", "type", "heard"),
    [
        ((), "order.shipped", True),
        (("order.*",), "order.shipped", True),
        (("order.*",), "order.item.returned", True),
        (("order.*",), "order", False),
        (("order.*",), "bill.sent", False),
        (("bill.*", "tax"), "tax", True),
        (("*",), "anything.at.all", True),
    ],
)
def test_a_filter_lets_through_what_matches_one_pattern(events, type, heard):
    """`*` stands for one or more segments; no filter wants everything."""
    assert hears(endpoint("any", *events), type) is heard


def test_every_endpoint_that_hears_gets_a_message_of_its_own():
    """Different ids, so that each is tried, tracked and retried alone."""
    planned = plan(workflow(WEBHOOK), user=owner(SHOP, WAREHOUSE, BILLING), what=happened("order.shipped"))
    assert urls(planned) == ["https://shop.example/", "https://warehouse.example/"]
    assert len({message.id for message in planned.messages}) == 2
    assert {message.status for message in planned.messages} == {Status.QUEUED}


def test_a_triggered_workflow_is_filtered_by_its_key():
    """It has no event type of its own."""
    planned = plan(workflow(WEBHOOK), user=owner(endpoint("keyed", "order-shipped"), BILLING))
    assert urls(planned) == ["https://keyed.example/"]


def test_where_nobody_hears_one_message_says_so():
    """Not sent, and explained, like any other channel without an address."""
    planned = plan(workflow(WEBHOOK), user=owner(BILLING), what=happened("order.shipped"))
    assert [(m.status, m.reason) for m in planned.messages] == [(Status.SUPPRESSED, Reason.NO_CONTACT)]


def test_a_disabled_endpoint_does_not_swallow_messages():
    """Its message is there, suppressed with the reason; the other endpoint's goes out."""
    user = owner(SHOP, WAREHOUSE, suppressed=(SHOP,))
    planned = plan(workflow(WEBHOOK), user=user, what=happened("order.shipped"))
    assert [(m.status, m.reason) for m in planned.messages] == [
        (Status.SUPPRESSED, Reason.ENDPOINT_DISABLED),
        (Status.QUEUED, None),
    ]
    assert [endpoint_of(m, user) for m in planned.messages] == [SHOP, WAREHOUSE]


def test_a_plain_webhook_contact_is_told_beside_the_endpoints():
    """Its message has the id it always had."""
    plain = contact(Channel.WEBHOOK)
    planned = plan(workflow(WEBHOOK), user=owner(SHOP, contacts=(plain,)))
    assert urls(planned) == [plain.address, "https://shop.example/"]
    assert planned.messages[0].id == message_id(planned.run.id, "step-1", "webhook")


def test_first_takes_one_endpoint_and_keeps_it():
    """The first that can be used; the message is bound to it."""
    user = owner(SHOP, WAREHOUSE, suppressed=(SHOP,))
    planned = plan(
        workflow(SendFirst(channels=(Channel.WEBHOOK, Channel.EMAIL))),
        user=user,
        what=happened("order.paid"),
    )
    assert urls(planned) == ["https://warehouse.example/"]
    assert endpoint_of(planned.messages[0], user) == WAREHOUSE


def test_a_rung_of_a_ladder_takes_one_endpoint():
    """The rung before names the id that will really be there."""
    email = contact(Channel.EMAIL)
    ladder = SendLadder(
        channels=(LadderChannel(channel=Channel.EMAIL), LadderChannel(channel=Channel.WEBHOOK))
    )
    user = owner(SHOP, WAREHOUSE, contacts=(email,))
    planned = plan(workflow(ladder), user=user)
    mail, hook = planned.messages
    assert mail.later_rungs == (hook.id,)
    assert endpoint_of(hook, user) == SHOP


def test_endpoints_neither_wait_for_one_another_nor_replace_one_another():
    """Thread and collapse keys are per endpoint."""
    planned = plan(
        workflow(WEBHOOK, thread="", collapse_key=""), user=owner(SHOP, WAREHOUSE, endpoint("third"))
    )
    count = len(planned.messages)
    assert count == 2
    assert len({turn.key for turn in planned.turns}) == count
    assert len({collapse.key for collapse in planned.collapses}) == count


def test_a_message_goes_nowhere_but_to_its_endpoint():
    """Changed URL: to the new one. Deleted: nowhere, also when the user has others."""
    user = owner(SHOP, WAREHOUSE)
    shop, _ = plan(workflow(WEBHOOK), user=user, what=happened("order.paid")).messages
    moved = msgspec.structs.replace(SHOP, url="https://moved.example/")
    assert [one.address for one in addresses(shop, owner(moved, WAREHOUSE)) or ()] == [moved.url]
    assert addresses(shop, owner(WAREHOUSE)) == ()


def test_other_channels_are_not_concerned():
    """An email of somebody with endpoints goes wherever the channel leads."""
    planned = plan(
        workflow(SendAll(channels=(Channel.EMAIL,))), user=owner(SHOP, contacts=(contact(Channel.EMAIL),))
    )
    assert addresses(planned.messages[0], owner(SHOP)) is None
