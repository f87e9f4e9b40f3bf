"""What a provider that speaks HTTP promises whatever its server does. The checks use servers on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final
from unittest import SkipTest

import msgspec

from clarion.errors import ConfigError, Unavailable
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.testing.provider_contract.promises import addresses, planted
from clarion.testing.provider_contract.subject import (
    ODD_CONTENTS,
    SECRET,
    WORDS,
    ProviderSubject,
    Vendor,
    overheard,
)
from clarion.testing.scripted_server import Answer, ScriptedServer, scripted_server

TIMEOUT_S: Final = 1.0
"""The integration's time limit where an answer must come before it is over."""
SHORT_TIMEOUT_S: Final = 0.3
"""The same where it must only be over some time."""
UNDER_WAY_S: Final = 1.5
"""The same where several calls must be under way before the first gives up by itself."""
PROMPTLY_S: Final = 6.0
NOBODY: Final = "http://127.0.0.1:1"
ANSWERED: Final = (Accepted, Retry, Rejected, Gone, Misconfigured)
"""What an answer can mean; `Unknown` is for its absence."""
TROUBLE: Final = (
    Answer.text(401, SECRET),
    Answer.text(403, f"<html>{SECRET} {WORDS}</html>"),
    Answer.json(404, {"error": SECRET, "message": WORDS, "description": WORDS}),
    Answer.json(500, {"ok": False, "error": WORDS, "detail": SECRET}),
    Answer.json(200, {"ok": False, "error": SECRET}),
    Answer.json(200, [SECRET]),
    Answer(status=200, body=b"\xff\xfe{"),
    Answer(status=204),
    Answer(status=599),
    Answer(manner="drop"),
    Answer(status=200, body=b'{"ok": tr', manner="cut"),
)
"""Answers that repeat what must not be shown, or make no sense."""

Check = Callable[[ProviderSubject], Awaitable[None]]


def at_home(check: Check) -> Check:
    """The check with a server that accepts everything, where the provider needs one."""

    @wraps(check)
    async def checked(subject: ProviderSubject) -> None:
        if subject.vendor is None:
            await check(subject)
            return
        async with scripted_server(otherwise=subject.vendor.accepted) as server:
            await check(at(server, subject))

    return checked


def excusable(check: Check) -> Check:
    """The check, skipped where the vendor says why it cannot be kept."""

    @wraps(check)
    async def checked(subject: ProviderSubject) -> None:
        excused = subject.vendor.excused if subject.vendor is not None else {}
        if reason := excused.get(check.__name__):
            raise SkipTest(f"{subject.plugin.name}: {reason}")
        await check(subject)

    return checked


def at(server: ScriptedServer, subject: ProviderSubject) -> ProviderSubject:
    """The subject, led to this server."""
    return msgspec.structs.replace(subject, url=server.url)


def vendor_of(subject: ProviderSubject) -> Vendor:
    """The vendor; without one the check is skipped, and says so."""
    if subject.vendor is None:
        raise SkipTest(f"{subject.plugin.name} is not led to an HTTP server here")
    return subject.vendor


async def answer_of(subject: ProviderSubject, answer: Answer, timeout_s: float = 30.0) -> Outcome:
    """What becomes of a message that is answered like this."""
    async with scripted_server(otherwise=answer) as server:
        local = at(server, subject)
        async with local.opened(timeout_s=timeout_s) as provider, asyncio.timeout(timeout_s):  # noqa: TID251 - real servers
            outcome = (await provider.send(local.messages(1)))[0]
        assert server.requests, f"nothing was sent, but the outcome is {outcome!r}"
        return outcome


def in_doubt(subject: ProviderSubject, outcome: Outcome) -> bool:
    """Whether the outcome is right for a message that may have arrived."""
    return isinstance(outcome, Retry if subject.plugin.idempotent else Unknown)


async def each_answer_means_what_is_recorded(subject: ProviderSubject) -> None:
    """The service's own answers, read as the dispatcher must take them."""
    for recorded in vendor_of(subject).replies:
        outcome = await answer_of(subject, recorded.answer)
        assert isinstance(outcome, recorded.means), f"{recorded.answer!r} was read as {outcome!r}"
        if recorded.after_s is not None:
            assert isinstance(outcome, Retry)
            assert outcome.after_s == recorded.after_s, f"{recorded.answer!r} was read as {outcome!r}"


async def every_outcome_is_on_record(subject: ProviderSubject) -> None:
    """For each thing an answer can mean there is an answer on record, or the reason why there is none."""
    vendor = vendor_of(subject)
    shown = {recorded.means.__name__ for recorded in vendor.replies} | set(vendor.never)
    missing = {outcome.__name__ for outcome in ANSWERED} - shown
    assert not missing, f"record an answer that means {sorted(missing)}, or say in `never` why there is none"


async def what_is_said_arrives(subject: ProviderSubject) -> None:
    """On every channel, in the request: a provider that accepts and forgets the words is of no use."""
    vendor = vendor_of(subject)
    async with scripted_server(otherwise=vendor.accepted) as server:
        local = at(server, subject)
        async with local.opened() as provider:
            for channel in sorted(subject.plugin.channels):
                await provider.send(local.messages(1, channel))
                said = [request for request in server.requests if WORDS.encode() in request.body]
                assert said, f"nothing of what is said on {channel} is in a request"
                server.requests.clear()


async def a_slash_at_the_end_of_a_url_changes_nothing(subject: ProviderSubject) -> None:
    """People write `https://api.example.com/` as well as without: both are called at the same paths."""
    vendor = vendor_of(subject)
    async with scripted_server(otherwise=vendor.accepted) as server:
        local = at(server, subject)
        bases: dict[str, Any] = {
            name: f"{value}/" for name, value in local.settings().items() if value == server.url
        }
        if not bases:
            raise SkipTest(f"{subject.plugin.name} is led by a whole URL, which is called as it is")
        paths: list[set[str]] = []
        unchanged: dict[str, Any] = {}
        for changes in (unchanged, bases):
            async with local.opened(**changes) as provider:
                await provider.send(local.messages(1))
                with contextlib.suppress(ConfigError, Unavailable):
                    await provider.ping()
            paths.append({request.path for request in server.requests})
            server.requests.clear()
        without, with_slash = paths
        assert with_slash == without, f"{sorted(with_slash)} is called instead of {sorted(without)}"


async def a_refused_connection_means_retry(subject: ProviderSubject) -> None:
    """Nothing went out, so nothing can double."""
    vendor_of(subject)
    local = msgspec.structs.replace(subject, url=NOBODY)
    async with local.opened() as provider:
        outcome = (await provider.send(local.messages(1)))[0]
        assert isinstance(outcome, Retry), f"{outcome!r}"


async def a_server_that_does_not_answer_leaves_doubt(subject: ProviderSubject) -> None:
    """Silence, an answer that drips and one that never ends: all are left within the integration's time limit."""
    vendor = vendor_of(subject)
    slow = msgspec.structs.replace(vendor.accepted, manner="drip", body=vendor.accepted.body + b" " * 2_000)
    silent, dripping, flooding = await asyncio.gather(
        answer_of(subject, Answer(manner="hang"), TIMEOUT_S),
        answer_of(subject, slow, TIMEOUT_S),
        answer_of(subject, msgspec.structs.replace(vendor.accepted, manner="flood"), TIMEOUT_S),
    )
    assert in_doubt(subject, silent), f"silence was read as {silent!r}"
    for outcome in (dripping, flooding):
        assert isinstance(outcome, Accepted) or in_doubt(subject, outcome), f"read as {outcome!r}"


async def an_answer_that_breaks_off_leaves_doubt(subject: ProviderSubject) -> None:
    """The request arrived; only its end is unknown."""
    vendor = vendor_of(subject)
    dropped = await answer_of(subject, Answer(manner="drop"))
    assert in_doubt(subject, dropped), f"a closed connection was read as {dropped!r}"
    cut = await answer_of(subject, msgspec.structs.replace(vendor.accepted, manner="cut"))
    assert isinstance(cut, Accepted) or in_doubt(subject, cut), f"half an answer was read as {cut!r}"


async def trouble_at_a_users_url_is_nobody_elses(subject: ProviderSubject) -> None:
    """Whatever the server of one contact's URL does, it does not open the circuit for all the others."""
    vendor = vendor_of(subject)
    if vendor.address is None or NOBODY not in vendor.address(NOBODY):
        raise SkipTest(f"{subject.plugin.name} is not led by a contact's URL here")
    for answer in (*TROUBLE, Answer(manner="hang")):
        outcome = await answer_of(subject, answer, TIMEOUT_S)
        assert not isinstance(outcome, Misconfigured), f"{answer!r} was read as {outcome!r}"
        if isinstance(outcome, Retry | Unknown):
            assert outcome.of_address, f"{answer!r} was read as {outcome!r}: set `of_address`"


async def a_redirect_is_not_followed(subject: ProviderSubject) -> None:
    """It would carry secrets and content to somebody else."""
    vendor_of(subject)
    async with scripted_server() as elsewhere:
        for status in (301, 302, 307, 308):
            outcome = await answer_of(subject, Answer(status=status, headers={"location": elsewhere.url}))
            assert not isinstance(outcome, Accepted), f"{status} was read as {outcome!r}"
        assert not elsewhere.requests, "a redirect was followed"


async def it_takes_whatever_a_template_makes(subject: ProviderSubject) -> None:
    """Content beyond every limit is cut or refused, never an exception, and no request is larger than allowed."""
    vendor = vendor_of(subject)
    async with scripted_server(otherwise=vendor.accepted) as server:
        local = at(server, subject)
        async with local.opened() as provider:
            for channel in sorted(subject.plugin.channels):
                for content in ODD_CONTENTS[channel]:
                    outcome = (await provider.send(local.messages(1, channel, content)))[0]
                    assert isinstance(outcome, Accepted | Rejected), f"{outcome!r}"
        largest = max((len(request.body) for request in server.requests), default=0)
        assert largest <= vendor.most_bytes, f"a request has {largest} bytes"


async def a_hundred_calls_at_once_all_arrive(subject: ProviderSubject) -> None:
    """Once each, none for another."""
    vendor = vendor_of(subject)
    async with scripted_server(otherwise=vendor.accepted) as server:
        local = at(server, subject)
        async with local.opened() as provider:
            answers = await asyncio.gather(*(provider.send(local.messages(1)) for _ in range(100)))
        assert [len(answer) for answer in answers] == [1] * 100
        assert all(isinstance(answer[0], Accepted) for answer in answers)
        assert len(server.requests) == 100, f"{len(server.requests)} requests for 100 messages"


async def a_full_batch_arrives_in_order(subject: ProviderSubject) -> None:
    """Each message gets the answer that was given to it, whichever comes first."""
    vendor = vendor_of(subject)
    refused = next((one.answer for one in vendor.replies if one.means is Rejected), None)
    if refused is None or subject.plugin.batch == 1:
        raise SkipTest(f"{subject.plugin.name} takes one message a call, or never refuses one")
    count = min(subject.plugin.batch, 20)
    async with scripted_server(*[refused] * (count // 2), otherwise=vendor.accepted) as server:
        local = at(server, subject)
        async with local.opened() as provider:
            outcomes = await provider.send(local.messages(count))
    kinds = [type(outcome) for outcome in outcomes]
    if len(server.requests) == count:
        assert kinds.count(Rejected) == count // 2, f"{kinds}"
        assert kinds.count(Accepted) == count - count // 2, f"{kinds}"


async def giving_up_leaks_no_connection(subject: ProviderSubject) -> None:
    """Cancelled calls end at once, and their connections at the latest with the integration's time limit."""
    vendor_of(subject)
    async with scripted_server(otherwise=Answer(manner="hang")) as server:
        local = at(server, subject)
        async with local.opened(timeout_s=UNDER_WAY_S) as provider:
            calls = [asyncio.ensure_future(provider.send(local.messages(1))) for _ in range(5)]
            await server.until(lambda: len(server.requests) == len(calls), PROMPTLY_S)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls, timeout=PROMPTLY_S)
            assert all(call.cancelled() for call in calls)
        await server.until(lambda: server.connections == 0, UNDER_WAY_S + PROMPTLY_S)


async def nothing_secret_is_said_whatever_is_answered(subject: ProviderSubject) -> None:
    """A server may repeat our secrets and our words; we do not, in outcomes, exceptions and logs."""
    vendor = vendor_of(subject)
    for answer in (*TROUBLE, *(recorded.answer for recorded in vendor.replies)):
        async with scripted_server(otherwise=answer) as server:
            local = at(server, subject)
            with overheard() as said:
                async with local.opened() as provider:
                    for outcome in await provider.send(local.messages(1)):
                        said.hear(getattr(outcome, "detail", ""))
                    try:
                        await provider.ping()
                    except (ConfigError, Unavailable) as error:
                        said.raised(error)
            shown = said.showing(SECRET, WORDS, *addresses(local), *planted(local))
            assert not shown, f"after {answer!r}: `{shown}` is shown"


async def a_ping_in_trouble_says_what_to_do(subject: ProviderSubject) -> None:
    """Whatever the server does, it ends in time and raises nothing but ConfigError and Unavailable, with words."""
    vendor_of(subject)
    for answer in TROUBLE:
        async with scripted_server(otherwise=answer) as server:
            await _ping(at(server, subject))
    await _ping(msgspec.structs.replace(subject, url=NOBODY))
    async with scripted_server(otherwise=Answer(manner="hang")) as server:
        await _ping(at(server, subject), timeout_s=SHORT_TIMEOUT_S)


async def _ping(local: ProviderSubject, timeout_s: float = 30.0) -> None:
    async with local.opened(timeout_s=timeout_s) as provider, asyncio.timeout(PROMPTLY_S):  # noqa: TID251 - real servers
        said = ""
        try:
            await provider.ping()
        except (ConfigError, Unavailable) as error:
            said = error.detail
        assert not said or len(said.split()) > 3, f"`{said}` does not say what to do"


NETWORK = (
    each_answer_means_what_is_recorded,
    every_outcome_is_on_record,
    what_is_said_arrives,
    a_slash_at_the_end_of_a_url_changes_nothing,
    a_refused_connection_means_retry,
    a_server_that_does_not_answer_leaves_doubt,
    an_answer_that_breaks_off_leaves_doubt,
    trouble_at_a_users_url_is_nobody_elses,
    a_redirect_is_not_followed,
    it_takes_whatever_a_template_makes,
    a_hundred_calls_at_once_all_arrive,
    a_full_batch_arrives_in_order,
    giving_up_leaks_no_connection,
    nothing_secret_is_said_whatever_is_answered,
    a_ping_in_trouble_says_what_to_do,
)
