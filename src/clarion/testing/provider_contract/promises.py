"""What a provider promises whatever protocol it uses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any, Final, get_args
from unittest import SkipTest

import msgspec

from clarion.errors import ConfigError, Unavailable
from clarion.model.outcome import Accepted, Outcome
from clarion.ports.provider import ProviderPlugin
from clarion.testing.provider_contract.subject import ADDRESSES, SECRET, WORDS, ProviderSubject, overheard

PROMPTLY_S: Final = 6.0
GARBLED: Final = ("", " ", "\x00")
GARBLED_URLS: Final = (
    *("nonsense", "localhost:8080", "//host.example/", "ftp://host.example/", "javascript:alert(1)"),
    *("https://", "https:///path", "https://:443/", "https://ho st.example/", "https://host.example/a b"),
    *("https://host.example:99999/", "https://host.example:port/", "https://a..b/", "https://[::1/"),
    *("https://user:password@host.example/", "https://host.example\\@other.example/"),
    *("https://host.example/\r\nx: y", "https://host.example/\n"),
)


def addresses(subject: ProviderSubject) -> set[str]:
    """Where the messages go."""
    own = {outgoing.contact.address for outgoing in subject.messages(1) if outgoing.contact is not None}
    return own.union(ADDRESSES.values())


def planted(subject: ProviderSubject) -> set[str]:
    """The secrets it was opened with."""
    return {value for value in subject.planted().values() if isinstance(value, str)}


async def its_example_is_a_valid_config(subject: ProviderSubject) -> None:
    """What the documentation shows can be used as it stands, and opens without sending anything."""
    msgspec.convert(subject.plugin.example, subject.plugin.config)
    async with ProviderSubject(plugin=subject.plugin, tools=subject.tools).opened():
        pass


async def it_refuses_settings_it_does_not_know(subject: ProviderSubject) -> None:
    """A misspelt setting is an error, not silence."""
    try:
        msgspec.convert({**subject.plugin.example, "no-such-setting": 1}, subject.plugin.config)
    except msgspec.ValidationError:
        return
    raise AssertionError("the config type must have forbid_unknown_fields=True")


async def it_refuses_settings_that_cannot_work(subject: ProviderSubject) -> None:
    """A secret or URL that is empty or garbled is refused when it is stored, not at the first send: with the place,
    and with words for what would be right."""
    example = ProviderSubject(plugin=subject.plugin, tools=subject.tools)
    for name, right in _to_garble(subject.plugin).items():
        for wrong in (*GARBLED, *(GARBLED_URLS if _is_web(right) else ())):
            place, words = "", ""
            try:
                async with example.opened(**{name: wrong}):
                    pass
            except msgspec.ValidationError as error:
                place, words = str(error).rpartition(" - at `$.")[2].rstrip("`"), _right(subject.plugin, name)
            except ConfigError as error:
                place, words = (error.pointer or "").removeprefix("#/"), error.detail
            else:
                raise AssertionError(f"`{name}` may be {wrong!r}: give it a type such as `WebUrl` or `Token`")
            assert place == name, f"{wrong!r} is refused at `{place}` instead of `{name}`"
            assert len(words.split()) > 3, f"what would be right for `{name}` is not said: `{words}`"


def _to_garble(plugin: ProviderPlugin) -> dict[str, str]:
    """The settings that everything depends on, as they are in the example or by default."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(plugin.config)}
    return {
        name: value
        for name, value in {**defaults, **plugin.example}.items()
        if isinstance(value, str) and (_is_web(value) or (name in plugin.secrets and name in plugin.example))
    }


def _is_web(value: str) -> bool:
    return value.startswith(("http://", "https://"))


def _right(plugin: ProviderPlugin, name: str) -> str:
    """What the type of a setting says of itself."""
    types = [field.type for field in msgspec.structs.fields(plugin.config) if field.name == name]
    found = [msgspec.inspect.type_info(one) for one in types]
    return "".join(
        str((one.extra_json_schema or {}).get("description", ""))
        for one in found
        if isinstance(one, msgspec.inspect.Metadata)
    )


async def it_answers_every_message_in_order(subject: ProviderSubject) -> None:
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


async def it_answers_an_empty_batch_with_nothing(subject: ProviderSubject) -> None:
    """And does not fail on it."""
    async with subject.opened() as provider:
        assert list(await provider.send([])) == []


async def a_repeat_has_no_second_effect_if_it_says_so(subject: ProviderSubject) -> None:
    """An idempotent provider answers the same message the same way, under the same provider id."""
    if not subject.plugin.idempotent:
        raise SkipTest(f"{subject.plugin.name} does not claim that a repeat has no second effect")
    async with subject.opened() as provider:
        batch = subject.messages(1)
        first, second = (await provider.send(batch))[0], (await provider.send(batch))[0]
        assert type(first) is type(second), f"{first!r}, then {second!r}"
        if isinstance(first, Accepted) and isinstance(second, Accepted):
            assert first.provider_id == second.provider_id, "a repeat must give the first one's provider id"
            assert (first.record is None) == (second.record is None)


async def it_waits_for_nobody_if_it_only_stores(subject: ProviderSubject) -> None:
    """Where all it does is make a record to store, every message is accepted with its record, and `send` never waits."""
    plugin = subject.plugin
    settings = msgspec.convert(subject.settings(), plugin.config)
    if plugin.stores is None or not plugin.stores(settings):
        raise SkipTest(f"{plugin.name} reaches somebody")
    assert plugin.idempotent, "what is stored with its plan may be planned again: `idempotent` must be True"
    async with subject.opened() as provider:
        batch = subject.messages(plugin.batch)
        outcomes = _without_waiting(provider.send(batch))
        assert len(outcomes) == len(batch), f"{len(outcomes)} outcomes for {len(batch)} messages"
        for outgoing, outcome in zip(batch, outcomes, strict=True):
            record = outcome.record if isinstance(outcome, Accepted) else None
            assert record is not None, f"{outcome!r} brings no record to store"
            assert record.message_id == outgoing.message.id, "outcomes are out of order"


def _without_waiting(sending: Coroutine[Any, Any, Sequence[Outcome]]) -> Sequence[Outcome]:
    try:
        sending.send(None)
    except StopIteration as done:
        answers: Sequence[Outcome] = done.value
        return answers
    sending.close()
    raise AssertionError("`send` waits for something: then `stores` must be False")


async def its_settings_do_not_show_their_values(subject: ProviderSubject) -> None:
    """Settings end up in logs and tracebacks: their `repr` must not give away what they hold."""
    hidden = subject.planted()
    if not hidden:
        raise SkipTest(f"{subject.plugin.name} keeps no secrets")
    settings = msgspec.convert({**subject.settings(), **hidden}, subject.plugin.config)
    shown = next((name for name, value in hidden.items() if str(value) in repr(settings)), "")
    assert not shown, f"`{shown}` is shown: derive the config type from `clarion.ports.provider.Settings`"


async def it_shows_neither_secrets_nor_contacts_nor_content(subject: ProviderSubject) -> None:
    """Not in its repr, not in outcomes, exceptions or logs."""
    with overheard() as said:
        async with subject.opened(**subject.planted()) as provider:
            said.hear(repr(provider))
            try:
                for outcome in await provider.send(subject.messages(1)):
                    said.hear(getattr(outcome, "detail", ""))
                await provider.ping()
            except Exception as error:  # noqa: BLE001 (whatever is raised is logged, so it is read here)
                said.raised(error)
    shown = said.showing(SECRET, WORDS, *addresses(subject), *planted(subject))
    assert not shown, f"`{shown}` is shown"


async def its_ping_says_what_to_do(subject: ProviderSubject) -> None:
    """It returns, or raises ConfigError or Unavailable; nothing else."""
    async with subject.opened() as provider:
        with contextlib.suppress(ConfigError, Unavailable):
            await provider.ping()


async def it_lets_go_when_cancelled(subject: ProviderSubject) -> None:
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


async def it_serves_a_hundred_calls_at_once(subject: ProviderSubject) -> None:
    """Each gets the answers to its own messages."""
    async with subject.opened() as provider:
        batches = [subject.messages(min(subject.plugin.batch, 3)) for _ in range(100)]
        answers = await asyncio.gather(*map(provider.send, batches))
        assert [len(answer) for answer in answers] == [len(batch) for batch in batches]
        for batch, outcomes in zip(batches, answers, strict=True):
            for outgoing, outcome in zip(batch, outcomes, strict=True):
                record = outcome.record if isinstance(outcome, Accepted) else None
                assert record is None or record.message_id == outgoing.message.id


PROMISES = (
    its_example_is_a_valid_config,
    it_refuses_settings_it_does_not_know,
    it_refuses_settings_that_cannot_work,
    its_settings_do_not_show_their_values,
    it_answers_every_message_in_order,
    it_answers_an_empty_batch_with_nothing,
    a_repeat_has_no_second_effect_if_it_says_so,
    it_waits_for_nobody_if_it_only_stores,
    it_shows_neither_secrets_nor_contacts_nor_content,
    its_ping_says_what_to_do,
    it_lets_go_when_cancelled,
    it_serves_a_hundred_calls_at_once,
)
