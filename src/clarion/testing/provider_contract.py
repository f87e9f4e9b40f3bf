"""What every provider must do, as checks to run over yours.

import pytest
from clarion.testing.provider_contract import PROVIDER_CONTRACT, Subject

@pytest.mark.parametrize("check", PROVIDER_CONTRACT, ids=lambda check: check.__name__)
async def test_my_provider_keeps_the_contract(check, tools):
    await check(Subject(plugin=my_plugin, tools=tools, config={"url": my_test_server}))
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, get_args

import msgspec

from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import (
    AnyContent,
    ChatContent,
    EmailContent,
    InAppContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WebhookContent,
)
from clarion.model.ids import EventId, MessageId, TenantId, UserNo
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Outcome
from clarion.model.setup import Integration
from clarion.model.status import Status
from clarion.model.user import Contact, Profile, User
from clarion.ports.provider import Outgoing, Provider, ProviderPlugin, ProviderTools

SECRET: Final = "s3cret-that-must-not-show"  # noqa: S105 (planted, to be looked for)
WORDS: Final = "words-that-must-not-show"
PROMPTLY_S: Final = 2.0

CONTENTS: Mapping[Channel, AnyContent] = {
    Channel.EMAIL: EmailContent(subject=WORDS, text=WORDS, html=f"<p>{WORDS}</p>"),
    Channel.SMS: SmsContent(text=WORDS),
    Channel.PUSH: PushContent(title=WORDS, body=WORDS),
    Channel.IN_APP: InAppContent(title=WORDS, body=WORDS),
    Channel.CHAT: ChatContent(text=WORDS),
    Channel.WEBHOOK: WebhookContent(type="check", body=f'{{"words": "{WORDS}"}}'),
    Channel.VOICE: VoiceContent(text=WORDS),
}
ADDRESSES: Mapping[Channel, str] = {
    Channel.EMAIL: "ada@contact.example",
    Channel.SMS: "+4915550000001",
    Channel.PUSH: "device-of-ada",
    Channel.CHAT: "chat-of-ada",
    Channel.WEBHOOK: "https://contact.example/hook",
    Channel.VOICE: "+4915550000001",
}


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A plug-in to check, with a config that reaches something harmless (None: its own example)."""

    plugin: ProviderPlugin
    tools: ProviderTools
    config: Mapping[str, Any] | None = None

    @contextlib.asynccontextmanager
    async def opened(self, **changes: Any) -> AsyncIterator[Provider]:
        """The provider, opened as the engine opens it, and closed."""
        config = {**(self.plugin.example if self.config is None else self.config), **changes}
        integration = Integration(
            key="checked", channel=min(self.plugin.channels), provider=self.plugin.name, config=config
        )
        settings = msgspec.convert(config, self.plugin.config)
        provider = self.plugin.open(integration, settings, self.tools)
        try:
            yield provider
        finally:
            await provider.close()

    def messages(self, count: int, channel: Channel | None = None) -> list[Outgoing]:
        """`count` different messages to one person."""
        channel = channel or min(self.plugin.channels)
        address = ADDRESSES.get(channel)
        key, _ = self.tools.vault.new_key()
        user = User(no=UserNo(1), tenant=TenantId(1), id="ada", key=key, profile=Profile())
        return [
            Outgoing(
                message=Message(
                    id=MessageId(self.tools.entropy.bytes(16)),
                    tenant=TenantId(1),
                    user=user.no,
                    event_id=EventId(self.tools.entropy.bytes(16)),
                    event_seq=1,
                    workflow="checked",
                    workflow_version=1,
                    category="checks",
                    step="send",
                    template="checked",
                    channel=channel,
                    lane=Lane.NORMAL,
                    status=Status.QUEUED,
                    created_at=self.tools.clock.now(),
                ),
                user=user,
                contact=None if address is None else Contact(channel=channel, address=address),
                content=CONTENTS[channel],
            )
            for _ in range(count)
        ]


async def its_example_is_a_valid_config(subject: Subject) -> None:
    """What the documentation shows can be used as it stands, and opens without sending anything."""
    msgspec.convert(subject.plugin.example, subject.plugin.config)
    async with Subject(plugin=subject.plugin, tools=subject.tools).opened():
        pass


async def it_refuses_settings_it_does_not_know(subject: Subject) -> None:
    """A misspelt setting is an error, not silence."""
    try:
        msgspec.convert({**subject.plugin.example, "no-such-setting": 1}, subject.plugin.config)
    except msgspec.ValidationError:
        return
    raise AssertionError("the config type must have forbid_unknown_fields=True")


async def it_answers_every_message_in_order(subject: Subject) -> None:
    """One outcome per message, also for a full batch, on every channel; records belong to their message."""
    async with subject.opened() as provider:
        for channel in sorted(subject.plugin.channels):
            batch = subject.messages(subject.plugin.batch, channel)
            outcomes = await provider.send(batch)
            assert len(outcomes) == len(batch), f"{len(outcomes)} outcomes for {len(batch)} messages"
            for outgoing, outcome in zip(batch, outcomes, strict=True):
                assert isinstance(outcome, get_args(Outcome)), f"{outcome!r} is no outcome"
                record = outcome.record if isinstance(outcome, Accepted) else None
                assert record is None or record.message_id == outgoing.message.id, "outcomes are out of order"


async def it_answers_an_empty_batch_with_nothing(subject: Subject) -> None:
    """And does not fail on it."""
    async with subject.opened() as provider:
        assert list(await provider.send([])) == []


async def a_repeat_has_no_second_effect_if_it_says_so(subject: Subject) -> None:
    """An idempotent provider answers the same message the same way, under the same provider id."""
    if not subject.plugin.idempotent:
        return
    async with subject.opened() as provider:
        batch = subject.messages(1)
        first, second = (await provider.send(batch))[0], (await provider.send(batch))[0]
        assert type(first) is type(second), f"{first!r}, then {second!r}"
        if isinstance(first, Accepted) and isinstance(second, Accepted):
            assert first.provider_id == second.provider_id, "a repeat must give the first one's provider id"
            assert (first.record is None) == (second.record is None)


async def it_shows_neither_secrets_nor_contacts_nor_content(subject: Subject) -> None:
    """Not in its repr, not in outcomes, not in exceptions: all of these are logged."""
    said: list[str] = []
    async with subject.opened(**dict.fromkeys(subject.plugin.secrets, SECRET)) as provider:
        said.append(repr(provider))
        batch = subject.messages(1)
        try:
            outcomes = await provider.send(batch)
            said += [str(getattr(outcome, "detail", "")) for outcome in outcomes]
            await provider.ping()
        except Exception as error:  # noqa: BLE001 (whatever is raised is logged, so it is read here)
            said += [repr(error), str(error)]
    for hidden in (SECRET, WORDS, *ADDRESSES.values()):
        assert not any(hidden in words for words in said), f"`{hidden}` is shown"


async def its_ping_says_what_to_do(subject: Subject) -> None:
    """It returns, or raises ConfigError or Unavailable; nothing else."""
    async with subject.opened() as provider:
        with contextlib.suppress(ConfigError, Unavailable):
            await provider.ping()


async def it_lets_go_when_cancelled(subject: Subject) -> None:
    """A call that is given up ends at once, and the provider goes on working."""
    async with subject.opened() as provider:
        for turns in range(5):
            call = asyncio.ensure_future(provider.send(subject.messages(1)))
            for _ in range(turns):
                await asyncio.sleep(0)  # noqa: TID251 (yields to the loop, waits for nothing)
            call.cancel()
            done, _ = await asyncio.wait([call], timeout=PROMPTLY_S)
            assert done, f"still running {PROMPTLY_S} s after it was cancelled"
        assert len(await provider.send(subject.messages(1))) == 1


async def it_serves_a_hundred_calls_at_once(subject: Subject) -> None:
    """Each gets the answers to its own messages."""
    async with subject.opened() as provider:
        batches = [subject.messages(min(subject.plugin.batch, 3)) for _ in range(100)]
        answers = await asyncio.gather(*map(provider.send, batches))
        assert [len(answer) for answer in answers] == [len(batch) for batch in batches]
        for batch, outcomes in zip(batches, answers, strict=True):
            for outgoing, outcome in zip(batch, outcomes, strict=True):
                record = outcome.record if isinstance(outcome, Accepted) else None
                assert record is None or record.message_id == outgoing.message.id


Check = Callable[[Subject], Awaitable[None]]

PROVIDER_CONTRACT: Sequence[Check] = (
    its_example_is_a_valid_config,
    it_refuses_settings_it_does_not_know,
    it_answers_every_message_in_order,
    it_answers_an_empty_batch_with_nothing,
    a_repeat_has_no_second_effect_if_it_says_so,
    it_shows_neither_secrets_nor_contacts_nor_content,
    its_ping_says_what_to_do,
    it_lets_go_when_cancelled,
    it_serves_a_hundred_calls_at_once,
)
