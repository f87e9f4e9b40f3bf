"""Mail handed in over HTTP: what it changes, what it proves, and what waits for a person."""

import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import id_text
from clarion.model.message import MessageFilter
from clarion.model.setup import Scope, SendAll, Step, Workflow
from clarion.model.status import Reason, Status
from clarion.model.suppression import SuppressionFilter
from clarion.model.user import Contact, Profile, UserPut
from clarion.services.message_references import MessageReferences
from tests.unit.api.conftest import ACME, OTHER
from tests.unit.content.returns.samples import TAG, daemon, feedback, mail, report

MAIL = "/v1/inbound/email"
QUARANTINE = "/v1/quarantine"
ID = "0197a0b0c0d0e0f00102030405060708"
GONE = "550 5.1.1 <ada@example.org>: User unknown"


@pytest.fixture
async def sender(clarion):
    """A client with the scope `send`."""
    return await clarion.client(Scope.SEND)


async def sent(clarion, sender, address="ada@example.org"):
    """A mail that went out to ada."""
    contact = Contact(channel=Channel.EMAIL, address=address)
    put = UserPut(id="ada", profile=Profile(contacts=(contact,)))
    (user,) = await clarion.ledger.users.put(ACME, [put])
    setup = clarion.ledger.setup
    step = Step(key="note", template="paid", to=SendAll(channels=(Channel.EMAIL,)))
    await setup.workflows.put(ACME, Workflow(key="post", category="news", steps=(step,)))
    before = {m.id for m in await mails(clarion, user)}
    await sender.ok("POST", "/v1/workflows/post/trigger", {"recipients": ["ada"], "data": {"id": "1"}})
    for _ in range(200):
        for message in await mails(clarion, user):
            if message.id not in before and message.status is Status.SENT:
                return message
        await clarion.clock.sleep(0.01)
    raise AssertionError(await mails(clarion, user))


async def mails(clarion, user):
    """All mails of a person, newest first."""
    where = MessageFilter(user=user.no, channels=frozenset({Channel.EMAIL}))
    return (await clarion.ledger.records.page(ACME, where, None, 10))[0]


def about(clarion, message, raw):
    """The returned mail as if it had been this message, by its tag and its Message-ID."""
    tag = MessageReferences(clarion.vault).of(message)
    return raw.replace(TAG.encode(), tag.encode()).replace(ID.encode(), message.id.hex().encode())


async def take(client, raw):
    """The answer to a mail."""
    return await client.ok("POST", MAIL, content=raw, headers={"content-type": "message/rfc822"})


async def suppressed(clarion):
    """Why each address must not be used."""
    return [row.reason for row in await clarion.ledger.suppressions.page(ACME, SuppressionFilter(), None, 10)]


async def test_a_bounce_moves_its_message_and_retires_the_address(clarion, sender):
    """Found by the tag of its return path; the second time nothing changes."""
    message = await sent(clarion, sender)
    raw = about(clarion, message, report(GONE, "5.1.1"))
    taken = await take(sender, raw)
    assert taken == {
        "verdict": "hard",
        "delayed": False,
        "status": "5.1.1",
        "detail": "550 5.1.1 <address>: User unknown",
        "message_id": id_text(message.id),
        "changed": True,
        "kept": None,
    }
    stored = await clarion.ledger.records.get(ACME, message.id)
    assert (stored.status, stored.reason) == (Status.BOUNCED, Reason.ADDRESS_GONE)
    assert await suppressed(clarion) == ["address_gone"]
    assert (await take(sender, raw))["changed"] is False


@pytest.mark.parametrize(
    ("raw", "status", "why"),
    [
        (report("552 5.2.2 mailbox full", "5.2.2"), Status.UNDELIVERED, []),
        (report("554 5.7.1 rejected as spam", "5.7.1"), Status.UNDELIVERED, []),
        (report("451 4.4.1 timed out", "4.4.1", "delayed"), Status.SENT, []),
        (report("250 2.0.0 Ok", "2.0.0", "delivered"), Status.DELIVERED, []),
        (feedback(), Status.DELIVERED, ["complaint"]),
    ],
)
async def test_what_each_class_does(clarion, sender, raw, status, why):
    """Only the address of a hard bounce or a complaint is retired."""
    message = await sent(clarion, sender)
    assert (await take(sender, about(clarion, message, raw)))["changed"] is True
    assert (await clarion.ledger.records.get(ACME, message.id)).status is status
    assert await suppressed(clarion) == why


async def test_the_message_id_of_the_returned_headers_will_do(clarion, sender):
    """For receivers that hide the return path."""
    message = await sent(clarion, sender)
    raw = report(GONE, "5.1.1").replace(ID.encode(), message.id.hex().encode())
    assert (await take(sender, raw))["message_id"] == id_text(message.id)
    assert await suppressed(clarion) == ["address_gone"]


@pytest.mark.parametrize(
    "text",
    [
        "Message from <news@example.com> to <ada@example.org> failed:\n550 5.1.1 User unknown",
        "Your mail (shop@example.net) was refused by mx@example.net: <ada@example.org>: 550 5.1.1 User unknown",
        "A message sent by news@example.com was refused:\n550 5.1.1 User unknown",
    ],
)
async def test_a_hard_bounce_retires_the_address_whoever_else_it_names(clarion, sender, text):
    """With a genuine tag, also when the sender stands first or alone."""
    message = await sent(clarion, sender)
    raw = daemon(text).replace(b"To: news@", b"To: b+" + TAG.encode() + b"@")
    assert (await take(sender, about(clarion, message, raw)))["verdict"] == "hard"
    assert (await clarion.ledger.records.get(ACME, message.id)).reason is Reason.ADDRESS_GONE
    assert await suppressed(clarion) == ["address_gone"]


@pytest.mark.parametrize(
    ("typed", "reported"),
    [
        ("kim@bücher.example", "rfc822; kim@xn--bcher-kva.example"),
        ("kim@bücher.example", "rfc822; Kim@XN--BCHER-KVA.EXAMPLE."),
        ("Kim@BÜCHER.example", "utf-8; kim@bücher.example"),
        ("kim@xn--bcher-kva.example", "utf-8; kim@b\\x{FC}cher.example"),
        ("jürgen@example.org", "utf-8; ju\u0308rgen@example.org"),
        ("kim..k@example.org", 'rfc822; "kim..k"@example.org'),
    ],
)
async def test_an_address_is_recognised_however_it_is_spelled(clarion, sender, typed, reported):
    """By a report, with its domain in letters or A-labels, and by a suppression that somebody adds."""
    message = await sent(clarion, sender, typed)
    raw = about(clarion, message, report("550 5.1.1 User unknown", "5.1.1", final=reported, said="Failed."))
    raw = raw.replace(b"To: Ada <ada@example.org>", f"To: {reported.partition('; ')[2]}".encode())
    await take(sender, raw)
    assert await suppressed(clarion) == ["address_gone"]
    admin = await clarion.client(Scope.ADMIN)
    await admin.ok("POST", "/v1/suppressions", {"channel": "email", "address": typed})
    assert len(await suppressed(clarion)) == 1


async def test_an_address_alone_proves_nothing(clarion, sender):
    """Anybody could have written it: the message counts as returned, the address stays usable."""
    message = await sent(clarion, sender)
    taken = await take(sender, daemon("<ada@example.org>: 550 5.1.1 User unknown"))
    assert (taken["verdict"], taken["message_id"]) == ("hard", id_text(message.id))
    stored = await clarion.ledger.records.get(ACME, message.id)
    assert (stored.status, stored.reason) == (Status.UNDELIVERED, Reason.SOFT_BOUNCE)
    assert await suppressed(clarion) == []
    complaint = feedback()
    assert (await take(sender, complaint))["kept"] == "no_proof"
    assert await suppressed(clarion) == []


async def test_a_forged_tag_proves_nothing(clarion, sender):
    """One that we did not sign, and the genuine one of a message of another tenant."""
    message = await sent(clarion, sender)
    other = MessageReferences(clarion.vault).of(replace(message, tenant=OTHER))
    for tag in (TAG, other):
        raw = report(GONE, "5.1.1", final="rfc822; x@example.net").replace(TAG.encode(), tag.encode())
        raw = raw.replace(b"To: Ada <ada@example.org>", b"To: x@example.net")
        assert (await take(sender, raw))["kept"] == "no_message"
    stranger = await clarion.client(Scope.SEND, OTHER)
    assert (await take(stranger, about(clarion, message, report(GONE, "5.1.1"))))["kept"] == "no_message"
    assert (await clarion.ledger.records.get(ACME, message.id)).status is Status.SENT


async def test_only_their_own_address_can_be_retired(clarion, sender):
    """A genuine tag with somebody else's address in it: the message came back, nobody is suppressed."""
    message = await sent(clarion, sender)
    raw = about(clarion, message, report(GONE, "5.1.1", final="rfc822; bob@example.org"))
    await take(sender, raw.replace(b"To: Ada <ada@example.org>", b"To: bob@example.org"))
    assert (await clarion.ledger.records.get(ACME, message.id)).status is Status.UNDELIVERED
    assert await suppressed(clarion) == []


async def test_a_mail_to_unsubscribe_is_obeyed(clarion, sender):
    """It is sent to the address that the mail itself names; one that we did not sign is a mail like any other."""
    message = await sent(clarion, sender)
    tag = MessageReferences(clarion.vault).of(message)

    def way_out(tag):
        return mail("", "unsubscribe").replace(b"news@example.com", f"<u+{tag}@bounces.example.com>".encode())

    stranger = await clarion.client(Scope.SEND, OTHER)
    assert (await take(sender, way_out(TAG)))["verdict"] == "unknown"
    assert (await take(stranger, way_out(tag)))["verdict"] == "unknown"
    quoted = mail(f"List-Unsubscribe: <mailto:u+{tag}@bounces.example.com>")
    assert (await take(sender, quoted))["verdict"] == "unknown"
    taken = await take(sender, way_out(tag))
    assert (taken["verdict"], taken["message_id"], taken["changed"]) == (
        "unsubscribe",
        id_text(message.id),
        True,
    )
    assert (await take(sender, way_out(tag)))["changed"] is False
    user = (await clarion.ledger.users.find(ACME, ["ada"]))["ada"]
    assert user.profile.preferences.categories["news"].channels == {Channel.EMAIL: False}


def reply(message, words, **more):
    """What ada writes back, with what she answers below it."""
    head = {
        "From": "Ada <ada@example.org>",
        "To": "news@shop.example",
        "Subject": "Re: Order 1",
        "In-Reply-To": f"<{message.id.hex()}@shop.example>",
    } | more
    fields = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value)
    quoted = (
        "\r\nOn Mon, 5 Jan 2026 at 12:00, Shop <news@shop.example> wrote:\r\n> Thanks, 1. Do not stop\r\n"
    )
    return f"{fields}Content-Type: text/plain; charset=utf-8\r\n\r\n{words}\r\n{quoted}".encode()


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("STOP", {}),
        ("Please unsubscribe me. Thanks!\r\n\r\n-- \r\nAda Lovelace\r\nThe Engine Company", {}),
        ("stop sending me emails\r\n\r\nSent from my phone", {}),
        ("", {"Subject": "unsubscribe"}),
        ("STOP", {"In-Reply-To": "", "References": "<x@y> <{id}@shop.example>"}),
    ],
)
async def test_a_person_who_answers_with_stop_is_opted_out(clarion, sender, words, more):
    """Of the category of what they answered, once: whoever comes back is not sent away by a repetition."""
    message = await sent(clarion, sender)
    more = {name: value.replace("{id}", message.id.hex()) for name, value in more.items()}
    raw = reply(message, words, **more)
    taken = await take(sender, raw)
    assert (taken["verdict"], taken["changed"], taken["kept"]) == ("unsubscribe", True, None)
    assert taken["message_id"] == id_text(message.id)
    path = "/v1/users/ada/preferences"
    shown = await sender.ok("GET", path)
    assert shown["stored"]["categories"]["news"]["channels"]["email"] is False
    await sender.ok("PATCH", path, {"categories": {"news": {"channels": {"email": True}}}})
    assert (await take(sender, raw))["changed"] is False
    shown = await sender.ok("GET", path)
    assert shown["stored"]["categories"]["news"]["channels"]["email"] is True


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("Please don't stop, I like them", {}),
        ("Where is my order?", {}),
        ("", {}),
        ("STOP", {"In-Reply-To": "<0197a0b0c0d0e0f00102030405060708@shop.example>"}),
        ("STOP", {"In-Reply-To": "<nothing@shop.example>"}),
        ("STOP", {"From": "mailer-daemon@example.org"}),
    ],
)
async def test_other_answers_of_people_wait_for_a_person(clarion, sender, admin, words, more):
    """Also those about a message that nobody knows: anybody could have written them."""
    message = await sent(clarion, sender)
    taken = await take(sender, reply(message, words, **more))
    assert taken["kept"] is not None
    assert len((await admin.ok("GET", QUARANTINE))["items"]) == 1
    assert (await sender.ok("GET", "/v1/users/ada/preferences"))["stored"]["categories"] == {}


async def test_an_opt_out_reported_by_a_mail_service_is_obeyed(clarion, sender):
    """For that category and channel, if the report proves which message it is about; else a person decides."""
    message = await sent(clarion, sender)
    assert (await take(sender, feedback("opt-out")))["kept"] == "no_proof"
    taken = await take(sender, about(clarion, message, feedback("opt-out")))
    assert (taken["verdict"], taken["changed"], taken["kept"]) == ("unsubscribe", True, None)
    user = (await clarion.ledger.users.find(ACME, ["ada"]))["ada"]
    assert user.profile.preferences.categories["news"].channels == {Channel.EMAIL: False}
    assert await suppressed(clarion) == []


async def test_what_is_unclear_waits_for_a_person(clarion, sender, admin):
    """Kept once, listed, readable as it came, deleted when dealt with; nobody else sees it."""
    raw = mail("I have a question", "Re: Hello", "Bob <bob@example.org>")
    for _ in range(2):
        assert (await take(sender, raw))["kept"] == "not_understood"
    assert (await take(sender, mail("away", auto_submitted="auto-replied")))["kept"] is None
    (listed,) = (await sender.ok("GET", QUARANTINE))["items"]
    created_at = listed.pop("created_at")
    assert created_at.endswith("Z")
    assert listed == {
        "id": listed["id"],
        "kind": "email",
        "why": "not_understood",
        "sender": "Bob <bob@example.org>",
        "subject": "Re: Hello",
        "integration": None,
        "error": None,
        "size_bytes": len(raw),
    }
    path = f"{QUARANTINE}/{listed['id']}"
    assert await sender.ok("GET", path) == {**listed, "created_at": created_at}
    answer = await sender("GET", f"{path}/raw")
    assert answer.content == raw
    assert answer.headers["content-disposition"].startswith("attachment")
    for query, count in (
        ("kind=email", 1), ("kind=callback", 0), ("why=not_understood", 1), ("why=no_proof", 0),
        (f"since={created_at}", 1), (f"until={created_at}", 0),
    ):  # fmt: skip
        assert len((await sender.ok("GET", f"{QUARANTINE}?{query}"))["items"]) == count
    assert (await sender.problem("GET", f"{QUARANTINE}?kind=mail"))["code"] == "invalid_request"
    stranger = await clarion.client(Scope.ADMIN, OTHER)
    assert (await stranger.ok("GET", QUARANTINE))["items"] == []
    verdict = {"verdict": "hard"}
    for client, method, place, body, code in (
        (stranger, "GET", path, None, "not_found"),
        (stranger, "GET", f"{path}/raw", None, "not_found"),
        (stranger, "DELETE", path, None, "not_found"),
        (stranger, "POST", f"{path}/resolve", verdict, "not_found"),
        (sender, "DELETE", path, None, "forbidden"),
        (sender, "POST", f"{path}/resolve", verdict, "forbidden"),
    ):
        assert (await client.problem(method, place, body))["code"] == code
    await admin.ok("DELETE", path)
    assert (await admin.problem("GET", path))["code"] == "not_found"
    assert (await admin.problem("GET", f"{QUARANTINE}/x"))["code"] == "not_found"


async def test_a_person_says_what_a_quarantined_mail_means(clarion, sender):
    """Then it counts like a verified report, once, and is no longer kept."""
    admin = await clarion.client(Scope.ADMIN)
    message = await sent(clarion, sender)
    await take(sender, mail("no such user", "Re: Hello", "Bob <bob@example.net>"))
    (kept,) = (await admin.ok("GET", QUARANTINE))["items"]
    path = f"{QUARANTINE}/{kept['id']}/resolve"
    for body, pointer in (
        ({"verdict": "hard"}, "#/message_id"),
        ({"verdict": "hard", "message_id": "0197a0b0-c0d0-e0f0-0102-030405060708"}, "#/message_id"),
        ({"verdict": "gone"}, "#/verdict"),
        ({}, None),
    ):
        problem = await admin.problem("POST", path, body)
        assert problem["code"] == "invalid_request"
        assert pointer in (None, problem["errors"][0]["pointer"])
    done = await admin.ok("POST", path, {"verdict": "hard", "message_id": id_text(message.id)})
    assert (done["verdict"], done["message_id"], done["changed"]) == ("hard", id_text(message.id), True)
    stored = await clarion.ledger.records.get(ACME, message.id)
    assert (stored.status, stored.reason) == (Status.BOUNCED, Reason.ADDRESS_GONE)
    assert await suppressed(clarion) == ["address_gone"]
    assert (await admin.ok("GET", QUARANTINE))["items"] == []
    assert (await admin.problem("POST", path, {"verdict": "hard"}))["code"] == "not_found"


async def test_a_quarantined_complaint_needs_no_message_id_to_be_resolved(clarion, sender):
    """The mail names the message by its address; what lacked was the proof."""
    admin = await clarion.client(Scope.ADMIN)
    message = await sent(clarion, sender)
    assert (await take(sender, feedback()))["kept"] == "no_proof"
    (kept,) = (await admin.ok("GET", f"{QUARANTINE}?why=no_proof"))["items"]
    done = await admin.ok("POST", f"{QUARANTINE}/{kept['id']}/resolve", {"verdict": "complaint"})
    assert done["message_id"] == id_text(message.id)
    assert await suppressed(clarion) == ["complaint"]


async def test_the_door_is_guarded(clarion, sender):
    """A key that may send, a POST, a body within the limit; what kind of bytes does not matter."""
    reader = await clarion.client(Scope.READ)
    assert (await reader.problem("POST", MAIL, content=b"x"))["code"] == "forbidden"
    assert (await clarion.bearer("").problem("POST", MAIL, content=b"x"))["code"] == "unauthenticated"
    assert (await sender.problem("PUT", MAIL))["code"] == "method_not_allowed"
    assert (await sender.problem("POST", MAIL, content=b"x" * 2_000_000))["code"] == "body_too_large"
    assert (await take(sender, b"\xff\x00{{{[[["))["verdict"] == "unknown"


async def test_an_empty_body_is_no_mail(sender, admin):
    """A file that is not there becomes an empty body: refused, and nothing of it is kept."""
    for empty in (b"", b" \r\n"):
        answer = await sender("POST", MAIL, content=empty, headers={"content-type": "message/rfc822"})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert "empty" in answer.json()["detail"]
    assert (await admin.ok("GET", QUARANTINE))["items"] == []
