"""Chat through the whole engine: each person on their own service, from one template."""

from clarion.model.channel import Channel
from clarion.model.setup import Integration, Template
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, Profile, UserPut
from clarion.testing.scripted_server import Answer, scripted_server
from tests.engine import engine, workflow

TEMPLATE = Template(
    key="note",
    channels={Channel.CHAT: {"en": {"title": "News", "text": "{{ data.text }}"}}},
    example_data={"text": "hello"},
)
SENT = Answer.json(200, {"ok": True, "ts": "1503435956.000247", "result": {"message_id": 365}})
BLOCKED = Answer.json(
    403, {"ok": False, "error_code": 403, "description": "Forbidden: bot was blocked by the user"}
)


async def furnished(one, url: str, **people: str) -> dict:
    """Who was put where: a tenant on Slack and Telegram, and people with one chat contact each."""
    await one.create_setup(workflow("note", channel=Channel.CHAT))
    await one.ledger.setup.templates.put(one.tenant, TEMPLATE)
    for provider, config in {
        "slack": {"token": "xoxb-1", "api_url": f"{url}/slack"},
        "telegram": {"token": "1:x", "api_url": f"{url}/telegram"},
    }.items():
        integration = Integration(key=provider, channel=Channel.CHAT, provider=provider, config=config)
        await one.ledger.setup.integrations.put(one.tenant, integration)
    puts = [
        UserPut(id=user_id, profile=Profile(contacts=(Contact(channel=Channel.CHAT, address=address),)))
        for user_id, address in people.items()
    ]
    return {user.id: user.no for user in await one.ledger.users.put(one.tenant, puts)}


async def test_everybody_is_written_to_where_they_are(store):
    """One on Slack, one on Telegram: a contact goes to the provider that knows its form."""
    async with scripted_server(otherwise=SENT) as server, engine(store) as one:
        people = await furnished(one, server.url, ada="U024BE7LH", ben="987654321")
        await one.trigger("note", *people)
        for user_id, no in people.items():
            assert await one.eventually(Status.SENT, user=no), user_id
    sent = {request.path: request.json for request in server.requests}
    assert sent["/slack/chat.postMessage"]["channel"] == "U024BE7LH"
    assert sent["/telegram/bot1:x/sendMessage"]["chat_id"] == "987654321"
    assert len(server.requests) == 2


async def test_who_blocked_the_bot_is_not_written_to_again(store):
    """The contact is gone for good, and the next message says why it was not sent."""
    async with scripted_server(otherwise=BLOCKED) as server, engine(store) as one:
        await furnished(one, server.url, ben="987654321")
        await one.trigger("note", "ben")
        assert await one.eventually(Status.BOUNCED)
        await one.trigger("note", "ben")
        await one.until_idle()
        (last,) = [m for m in (await one.messages()).values() if m.status is not Status.BOUNCED]
        assert (last.status, last.reason) == (Status.SUPPRESSED, Reason.SUPPRESSED_ADDRESS)
        assert len(server.requests) == 1


async def test_bad_urls_of_some_stop_nobody_else(store):
    """However many contacts bring a webhook that answers with errors, the integration's circuit stays closed."""
    async with (
        scripted_server(otherwise=Answer.text(200, "ok")) as vendor,
        scripted_server(otherwise=Answer.text(503, "")) as broken,
        engine(store) as one,
    ):
        bad = {f"user{n}": f"{broken.url}/services/{n}" for n in range(30)}
        people = await furnished(one, "http://127.0.0.1:1", **bad, ada="team")
        await one.ledger.setup.integrations.delete(one.tenant, "telegram")
        slack = Integration(
            key="slack",
            channel=Channel.CHAT,
            provider="slack",
            config={"url": f"{vendor.url}/services/T1/B1/x", "hosts": ["127.0.0.1"]},
        )
        await one.ledger.setup.integrations.put(one.tenant, slack)
        await one.trigger("note", *bad)
        await broken.until(lambda: len(broken.requests) >= 30, 10)
        await one.trigger("note", "ada")
        assert await one.eventually(Status.SENT, user=people["ada"])
        health = one.pipeline.integrations.health(one.tenant)
    assert {each.circuit for each in health} == {"closed"}
