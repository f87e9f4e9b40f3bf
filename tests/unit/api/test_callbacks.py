"""Callbacks over HTTP: what they prove, what they change, and what they do not."""

import asyncio

import pytest
from msgspec.structs import replace

from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.message import MessageFilter
from clarion.model.setup import Integration, Scope, SendAll, Step, Workflow
from clarion.model.status import Reason, Status
from clarion.model.suppression import SuppressionFilter
from clarion.model.user import Contact, Profile, UserPut
from clarion.ports.callback import Callback, CallbackRequest, DocumentNeeded
from clarion.services.message_references import MessageReferences
from clarion.testing.provider_contract import REFERENCE
from tests.carrier import MARK, body, carrier, signature
from tests.unit.api.conftest import ACME, OTHER

TOKEN = "t_1"
INTEGRATIONS = "/v1/integrations/texts"


@pytest.fixture
async def clarion(clarion):
    """Clarion, with the carrier for text messages."""
    clarion.providers["carrier"] = carrier()
    integration = Integration(key="texts", channel=Channel.SMS, provider="carrier", config={"token": TOKEN})
    await clarion.ledger.setup.integrations.delete(ACME, "main-sms")
    await clarion.ledger.setup.integrations.put(ACME, integration)
    step = Step(key="note", template="paid", to=SendAll(channels=(Channel.SMS,)))
    await clarion.ledger.setup.workflows.put(ACME, Workflow(key="text", category="news", steps=(step,)))
    return clarion


@pytest.fixture
async def url(admin, clarion):
    """Where the carrier reports to, without the host."""
    shown = (await admin.ok("GET", INTEGRATIONS))["callback_url"]
    assert shown.startswith("https://notify.example/v1/callbacks/texts/")
    return shown.removeprefix("https://notify.example")


async def sent(clarion, count=1):
    """Text messages that went out to ada."""
    contact = Contact(channel=Channel.SMS, address="+4915112345678")
    (user,) = await clarion.ledger.users.put(ACME, [UserPut(id="ada", profile=Profile(contacts=(contact,)))])
    sender = await clarion.client(Scope.SEND)
    for number in range(count):
        await sender.ok(
            "POST", "/v1/workflows/text/trigger", {"recipients": ["ada"], "data": {"id": str(number)}}
        )
    where = MessageFilter(user=user.no, statuses=frozenset({Status.SENT}))
    for _ in range(500):
        found, _ = await clarion.ledger.records.page(ACME, where, None, 200)
        if len(found) == count:
            return found
        await clarion.clock.sleep(0.01)
    raise AssertionError("the messages were not sent")


async def reported(clarion, url, raw, message=None, *, token=TOKEN, at_s=None, client=None):
    """The answer to what the carrier reports."""
    if message is not None:
        raw = raw.replace(REFERENCE.encode(), MessageReferences(clarion.vault).of(message).encode())
    seconds = clarion.clock.now() // 1000 if at_s is None else at_s
    request = CallbackRequest(url=f"https://notify.example{url}", body=raw)
    headers = {MARK: signature(token, seconds, request), "content-type": "application/json"}
    return await (client or clarion.bearer(""))("POST", url, content=raw, headers=headers)


async def now(clarion, message):
    """How the message is doing."""
    return await clarion.ledger.records.get(ACME, message.id)


async def test_a_receipt_moves_its_message(clarion, url):
    """It is durable when the provider gets its answer; the timeline tells who said so."""
    (message,) = await sent(clarion)
    answer = await reported(clarion, url, body("delivered"), message)
    assert answer.status_code == 200
    assert (await now(clarion, message)).status is Status.DELIVERED
    last = (await clarion.ledger.records.changes(ACME, message.id))[-1]
    assert (last.status, last.outcome, last.integration) == (Status.DELIVERED, "delivered", "texts")


async def test_repeated_late_and_reordered_reports_change_nothing(clarion, url):
    """A message that arrived stays so when the provider reports again, or an earlier state."""
    (message,) = await sent(clarion)
    for raw in (body("delivered"), body("delivered"), body("failed"), body("bounced")):
        assert (await reported(clarion, url, raw, message)).status_code == 200
    assert (await now(clarion, message)).status in (Status.DELIVERED, Status.BOUNCED)
    changes = await clarion.ledger.records.changes(ACME, message.id)
    assert [change.status for change in changes].count(Status.DELIVERED) == 1


async def test_what_failed_says_why(clarion, url):
    """A provider that gives up ends the message, and its address stays usable."""
    (message,) = await sent(clarion)
    await reported(clarion, url, body("failed"), message)
    stored = await now(clarion, message)
    assert (stored.status, stored.reason) == (Status.UNDELIVERED, Reason.PROVIDER_ERROR)
    assert await clarion.ledger.suppressions.page(ACME, SuppressionFilter(), None, 10) == []


async def test_a_forged_callback_changes_nothing(clarion, url, admin):
    """Another's signature, an old one, none: 403, a metric, and no state."""
    (message,) = await sent(clarion)
    for bad in ({"token": "t_2"}, {"at_s": clarion.clock.now() // 1000 - 3_600}, {"at_s": 0}):
        answer = await reported(clarion, url, body("delivered"), message, **bad)
        assert (answer.status_code, answer.json()["code"]) == (403, "callback_forged")
        assert TOKEN not in answer.text
    problem = await clarion.bearer("").problem("POST", url, content=body("delivered"))
    assert problem["code"] == "callback_forged"
    assert (await now(clarion, message)).status is Status.SENT
    assert 'clarion_callbacks_total{outcome="forged"} 4' in (await admin("GET", "/metrics")).text


@pytest.mark.parametrize("wrong", ["x", "AAAAAQ", "é", "retry"])
async def test_an_unknown_url_is_not_found(clarion, url, wrong):
    """Whatever stands for the token; nothing is read and nothing counted as the provider's."""
    elsewhere = f"{url.rpartition('/')[0]}/{wrong}"
    problem = await clarion.bearer("").problem("POST", elsewhere, content=body("delivered"))
    assert problem["code"] == "not_found"
    other = url.replace("/texts/", "/others/")
    assert (await clarion.bearer("").problem("POST", other, content=b""))["code"] == "not_found"


async def test_a_url_without_a_token_is_nowhere(clarion, url):
    """Only the whole path is one."""
    for path in ("/v1/callbacks", "/v1/callbacks/texts", f"{url}/more"):
        assert (await clarion.bearer("")("POST", path)).status_code in (401, 404)


async def test_another_tenants_url_reports_about_its_own_messages_only(clarion, url):
    """A signed reference of one tenant means nothing to another, although both use the same provider."""
    (message,) = await sent(clarion)
    integration = clarion.ledger.setup.integrations.all(ACME)["texts"]
    await clarion.ledger.setup.integrations.put(OTHER, replace(integration, config={"token": TOKEN}))
    theirs = clarion.services.callbacks.urls.of(OTHER, "texts").removeprefix("https://notify.example")
    assert theirs != url
    assert (await reported(clarion, theirs, body("delivered"), message)).status_code == 200
    assert (await now(clarion, message)).status is Status.SENT
    assert clarion.services.stats()["callback_references_unknown"] == 1


async def test_a_made_up_reference_is_ignored(clarion, url):
    """The provider is answered as usual: repeating it would help nobody."""
    assert (await reported(clarion, url, body("delivered"))).status_code == 200
    assert clarion.services.stats()["callback_references_unknown"] == 1


async def test_only_the_providers_methods_are_taken(clarion, url):
    """The carrier posts."""
    answer = await clarion.bearer("")("GET", url)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_body_of_ten_mebibytes_is_the_largest(clarion, url):
    """More is refused before it is read to its end."""
    assert (await reported(clarion, url, b"[" * (10 * 1024 * 1024 + 1))).status_code == 413
    assert (await reported(clarion, url, b" " * (10 * 1024 * 1024 - 2) + b"[]")).status_code == 200


async def test_callbacks_at_once_share_transactions(clarion, url, monkeypatch):
    """A hundred requests need a few writes, and each is answered when its own receipts are stored."""
    messages = await sent(clarion, 100)
    calls = []
    receive = clarion.ledger.receipts.receive

    async def counted(effects):
        calls.append(len(effects))
        return await receive(effects)

    monkeypatch.setattr(clarion.ledger.receipts, "receive", counted)
    answers = await asyncio.gather(
        *(reported(clarion, url, body("delivered"), message) for message in messages)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert sum(calls) == 100
    assert len(calls) < 20
    assert {(await now(clarion, message)).status for message in messages} == {Status.DELIVERED}


async def test_one_that_cannot_be_stored_takes_no_other_along(clarion, url, monkeypatch):
    """It alone is answered with 503, so that the provider reports it again."""
    first, second = await sent(clarion, 2)
    receive = clarion.pipeline.receive

    async def failing(receipts):
        if any(receipt.message_id == first.id for receipt in receipts):
            raise Unavailable("the disk is full")
        return await receive(receipts)

    monkeypatch.setattr(clarion.services.callbacks._store, "_receive", failing)
    lost, kept = await asyncio.gather(
        *(reported(clarion, url, body("delivered"), message) for message in (first, second))
    )
    assert (lost.status_code, kept.status_code) == (503, 200)
    assert (await now(clarion, second)).status is Status.DELIVERED


async def test_too_many_receipts_at_once_are_refused(clarion, url, monkeypatch):
    """Memory is bounded: the provider is told to come again."""
    monkeypatch.setattr("clarion.services.receipt_groups.MOST_WAITING", 3)
    messages = await sent(clarion, 6)
    answers = await asyncio.gather(
        *(reported(clarion, url, body("delivered"), message) for message in messages)
    )
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


async def test_the_url_is_part_of_the_integration(admin, url):
    """It can be sent back as it was read; another one is refused."""
    shown = await admin.ok("GET", INTEGRATIONS)
    assert await admin.ok("PUT", INTEGRATIONS, shown) == shown
    assert (await admin.ok("PATCH", INTEGRATIONS, {"weight": 7}))["callback_url"] == shown["callback_url"]
    problem = await admin.problem("PATCH", INTEGRATIONS, {"callback_url": "https://elsewhere.example/"})
    assert problem["errors"][0]["pointer"] == "#/callback_url"
    assert (await admin.ok("GET", "/v1/integrations/main-email"))["callback_url"] is None


async def test_messages_of_people_are_passed_on(clarion, url):
    """As values, before the provider is answered."""
    assert (await reported(clarion, url, b'[{"text": "hello"}]')).status_code == 200
    assert clarion.services.stats()["messages_received.other"] == 1


QUARANTINE = "/v1/quarantine"


async def test_a_callback_that_makes_no_sense_is_kept(clarion, url, admin):
    """Once, and answered, as repeating it would help nobody; it is shown with its integration and the reason."""
    raw = b'{"unexpected": true}'
    for _ in range(2):
        assert (await reported(clarion, url, raw)).status_code == 200
    (kept,) = (await admin.ok("GET", f"{QUARANTINE}?kind=callback"))["items"]
    assert (kept["kind"], kept["why"], kept["integration"]) == ("callback", "not_understood", "texts")
    assert kept["error"] == "the body is no list of reports"
    assert (await admin.ok("GET", f"{QUARANTINE}?kind=email"))["items"] == []
    assert (await admin("GET", f"{QUARANTINE}/{kept['id']}/raw")).content == raw
    assert 'clarion_callbacks_total{outcome="unreadable"} 2' in (await admin("GET", "/metrics")).text


async def test_the_rest_of_a_callback_is_taken(clarion, url, admin):
    """What made sense is stored at once; the whole is kept for a person."""
    (message,) = await sent(clarion)
    raw = body("exploded")[:-1] + b"," + body("delivered")[1:]
    assert (await reported(clarion, url, raw, message)).status_code == 200
    assert (await now(clarion, message)).status is Status.DELIVERED
    (kept,) = (await admin.ok("GET", QUARANTINE))["items"]
    assert kept["error"] == "an event is not known"


async def test_a_kept_callback_is_read_again_when_somebody_asks(clarion, url, admin, monkeypatch):
    """With a plug-in that understands it by now; until then it stays, and the answer says why."""
    (message,) = await sent(clarion)
    await reported(clarion, url, body("arrived"), message)
    (kept,) = (await admin.ok("GET", QUARANTINE))["items"]
    problem = await admin.problem("POST", f"{QUARANTINE}/{kept['id']}/retry")
    assert (problem["code"], problem["detail"]) == ("callback_unreadable", "an event is not known")
    plugin = clarion.providers["carrier"]

    def newer(request, config, tools):
        return plugin.callbacks.read(
            replace(request, body=request.body.replace(b"arrived", b"delivered")), config, tools
        )

    clarion.providers["carrier"] = replace(plugin, callbacks=replace(plugin.callbacks, read=newer))
    await admin.ok("POST", f"{QUARANTINE}/{kept['id']}/retry")
    assert (await now(clarion, message)).status is Status.DELIVERED
    assert (await admin.ok("GET", QUARANTINE))["items"] == []


async def test_a_callback_has_no_verdict_and_a_mail_no_retry(clarion, url, admin):
    """Each is told what else there is."""
    await reported(clarion, url, b"{}")
    await admin.ok("POST", "/v1/inbound/email", content=b"From: bob@example.org\r\n\r\nhello")
    mail, callback = sorted((await admin.ok("GET", QUARANTINE))["items"], key=lambda one: one["kind"])[::-1]
    problem = await admin.problem("POST", f"{QUARANTINE}/{callback['id']}/resolve", {"verdict": "hard"})
    assert "retry it" in problem["detail"]
    assert "resolve it" in (await admin.problem("POST", f"{QUARANTINE}/{mail['id']}/retry"))["detail"]
    await admin.ok("DELETE", f"{QUARANTINE}/{callback['id']}")


async def test_of_a_large_callback_only_the_beginning_is_kept(clarion, url, admin):
    """A person can look at it, and it cannot be read again."""
    await reported(clarion, url, b"{" + b" " * 1_000_000)
    (kept,) = (await admin.ok("GET", QUARANTINE))["items"]
    assert kept["size_bytes"] == 256 * 1024
    problem = await admin.problem("POST", f"{QUARANTINE}/{kept['id']}/retry")
    assert "too large" in problem["detail"]


async def test_what_a_gone_integration_kept_is_not_read(clarion, url, admin):
    """It can still be looked at and deleted."""
    await reported(clarion, url, b"{}")
    await admin.ok("DELETE", INTEGRATIONS)
    (kept,) = (await admin.ok("GET", QUARANTINE))["items"]
    assert (await admin.problem("POST", f"{QUARANTINE}/{kept['id']}/retry"))["code"] == "not_found"


CERTIFICATE = "https://carrier.example/certificate.pem"


@pytest.fixture
def fetched(clarion, monkeypatch):
    """The URLs that were called; each answers with the carrier's certificate."""
    urls = []

    async def fetch(url):
        urls.append(url)
        return b"certificate"

    monkeypatch.setattr(clarion.services.callbacks, "_fetch", fetch)
    return urls


def certified(clarion, **changes):
    """The carrier, as if its signatures needed a certificate."""

    def verify(request, config, tools):
        if tools.documents.get(CERTIFICATE) != b"certificate":
            return DocumentNeeded(url=CERTIFICATE)
        return None

    plugin = clarion.providers["carrier"]
    callbacks = replace(plugin.callbacks, verify=verify, **changes)
    clarion.providers["carrier"] = replace(plugin, callbacks=callbacks)


async def test_a_certificate_is_fetched_once(clarion, url, fetched):
    """Then it is known; the plug-in is asked again with it."""
    certified(clarion)
    (message,) = await sent(clarion)
    for _ in range(3):
        assert (await reported(clarion, url, body("delivered"), message)).status_code == 200
    assert fetched == [CERTIFICATE]
    assert (await now(clarion, message)).status is Status.DELIVERED


async def test_without_its_certificate_nothing_is_taken(clarion, url, monkeypatch):
    """The provider is told to come again."""

    async def fetch(url):
        raise Unavailable("carrier.example did not answer")

    certified(clarion)
    monkeypatch.setattr(clarion.services.callbacks, "_fetch", fetch)
    (message,) = await sent(clarion)
    assert (await reported(clarion, url, body("delivered"), message)).status_code == 503
    assert (await now(clarion, message)).status is Status.SENT


async def test_a_subscription_is_confirmed_by_a_visit(clarion, url, fetched):
    """Before the provider is answered."""
    visit = "https://carrier.example/confirm"
    certified(clarion, read=lambda *_: Callback(visits=(visit,)))
    assert (await reported(clarion, url, b"[]")).status_code == 200
    assert fetched == [CERTIFICATE, visit]


async def test_a_plugin_that_fails_to_verify_lets_nothing_in(clarion, url):
    """What it raises may hold secrets: only its kind is told."""

    def verify(request, config, tools):
        raise KeyError(config.token)

    plugin = clarion.providers["carrier"]
    clarion.providers["carrier"] = replace(plugin, callbacks=replace(plugin.callbacks, verify=verify))
    answer = await reported(clarion, url, body("delivered"))
    assert (answer.status_code, answer.json()["code"]) == (403, "callback_forged")
    assert TOKEN not in answer.text


async def test_a_plugin_that_fails_to_read_loses_nothing(clarion, url, admin):
    """The callback is genuine: it is kept until the plug-in is mended."""

    def read(request, config, tools):
        raise KeyError(config.token)

    plugin = clarion.providers["carrier"]
    clarion.providers["carrier"] = replace(plugin, callbacks=replace(plugin.callbacks, read=read))
    assert (await reported(clarion, url, body("delivered"))).status_code == 200
    (kept,) = (await admin.ok("GET", QUARANTINE))["items"]
    assert kept["error"] == "the provider's plug-in failed (KeyError)"
