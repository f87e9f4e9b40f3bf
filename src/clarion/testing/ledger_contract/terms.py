"""The conditions of a request hold inside every write it makes."""

from __future__ import annotations

import asyncio

from clarion.errors import PreconditionFailed
from clarion.model.conditions import Conditions
from clarion.model.setup import Category, Tenant
from clarion.model.topic import Topic
from clarion.model.user import Profile, UserPut
from clarion.ports import terms
from clarion.ports.terms import Subject, Terms
from clarion.testing.ledger_contract.subject import LedgerSubject


def _only(wanted: str | None) -> Conditions:
    return Conditions(match=(f'"{wanted}"',))


async def a_resource_has_another_tag_after_every_change(subject: LedgerSubject) -> None:
    """And none when there is none."""
    ledger, tenant = subject.ledger, subject.tenant
    news = Subject(tenant=tenant, kind="category", key="news")
    ada = Subject(tenant=tenant, kind="user", key="ada")
    for nothing in (
        news,
        Subject(tenant=tenant, kind="message", key="no id"),
        Subject(tenant=tenant, kind="user", key="a\0b"),
    ):
        assert await ledger.tag(nothing) is None
    seen = [await ledger.tag(ada)]
    await ledger.users.put(tenant, [UserPut(id="ada", profile=Profile(locale="fr"))])
    seen.append(await ledger.tag(ada))
    await ledger.users.delete(tenant, "ada")
    await subject.put_user("ada", "ada@example.org")
    seen.append(await ledger.tag(ada))
    assert len({*seen, None}) == 4
    await ledger.setup.categories.put(tenant, Category(key="news"))
    first = await ledger.tag(news)
    await ledger.setup.categories.put(tenant, Category(key="news", name="News"))
    assert None is not first != await ledger.tag(news)
    assert await ledger.tag(Subject(tenant=tenant, kind="tenant", key="")) is not None


async def of_writes_on_the_same_terms_one_is_done(subject: LedgerSubject) -> None:
    """All have seen the same; the store lets the first one through, and what the others would have written is not there."""
    topics, topic = subject.ledger.topics, Subject(tenant=subject.tenant, kind="topic", key="news")
    await topics.put(subject.tenant, Topic(key="news"))
    seen = await subject.ledger.tag(topic)

    async def rename(name: str) -> Terms:
        asked = Terms(topic, _only(seen))
        terms.enter(asked)
        await topics.put(subject.tenant, Topic(key="news", name=name))
        return asked

    done = await asyncio.gather(*map(rename, ("a", "b", "c")), return_exceptions=True)
    (won,) = (one for one in done if isinstance(one, Terms))
    assert won.wrote
    assert won.tag == (await subject.ledger.tag(topic)) != seen
    assert sum(isinstance(one, PreconditionFailed) and one.current == won.tag for one in done) == 2


async def a_dry_write_answers_and_leaves_nothing(subject: LedgerSubject) -> None:
    """It is told what would be, with its tag; and nobody sees it, not even in memory."""
    setup = subject.ledger.setup

    async def dry_run() -> None:
        asked = Terms(Subject(tenant=subject.tenant, kind="category", key="news"), dry=True)
        terms.enter(asked)
        assert (await setup.categories.put(subject.tenant, Category(key="news"))).key == "news"
        assert asked.tag is not None
        changed = await setup.tenants.change(
            subject.tenant, lambda one: Tenant(id=one.id, key=one.key, name="Acme")
        )
        assert changed.name == "Acme"
        await subject.put_user("carla")

    await asyncio.create_task(dry_run())
    assert setup.categories.all(subject.tenant) == {}
    assert setup.tenants.all()[subject.tenant].name == ""
    assert await subject.ledger.users.find(subject.tenant, ["carla"]) == {}


async def terms_end_with_their_request(subject: LedgerSubject) -> None:
    """What it leaves running writes like everybody else."""
    asked = Terms(Subject(tenant=subject.tenant, kind="category", key="news"), _only("never"), dry=True)

    async def request() -> None:
        terms.enter(asked)
        terms.leave()
        await subject.ledger.setup.categories.put(subject.tenant, Category(key="news"))

    await asyncio.create_task(request())
    assert "news" in subject.ledger.setup.categories.all(subject.tenant)


TERMS_CONTRACT = (
    a_resource_has_another_tag_after_every_change,
    of_writes_on_the_same_terms_one_is_done,
    a_dry_write_answers_and_leaves_nothing,
    terms_end_with_their_request,
)
