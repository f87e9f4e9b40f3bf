"""The configuration of tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.flow.setup_view import DocumentsView
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleChange, ScheduleRow
from clarion.model.setup import (
    INBOX,
    ApiKey,
    Category,
    DocumentNow,
    Integration,
    Partial,
    ReleaseBasis,
    Scope,
    SetupDelta,
    Template,
    TemplateDraft,
    Tenant,
    Workflow,
)
from clarion.ports.ledger.setup import Document
from clarion.testing.ledger_contract.subject import LedgerSubject

T = TypeVar("T", bound=Document)


async def a_document_is_there_once_put(subject: LedgerSubject) -> None:
    """Without waiting, for its tenant only, until it is deleted."""
    shelf = subject.ledger.setup.categories
    await shelf.put(subject.tenant, Category(key="news", name="News"))
    await shelf.put(subject.tenant, Category(key="news", name="Latest news"))
    assert shelf.all(subject.tenant) == {"news": Category(key="news", name="Latest news")}
    assert shelf.all(TenantId(999)) == {}
    assert await shelf.delete(subject.tenant, "news")
    assert not await shelf.delete(subject.tenant, "news")
    assert shelf.all(subject.tenant) == {}


async def workflows_and_templates_count_their_versions(subject: LedgerSubject) -> None:
    """Older versions stay readable; deleting and putting again goes on counting."""
    workflows, templates = subject.ledger.setup.workflows, subject.ledger.setup.templates
    first = await workflows.put(subject.tenant, Workflow(key="w", name="one", category="news"))
    second = await workflows.put(subject.tenant, Workflow(key="w", name="two", category="news"))
    assert (first.version, second.version) == (1, 2)
    assert workflows.all(subject.tenant) == {"w": second}
    assert await workflows.version(subject.tenant, "w", 1) == first
    assert await workflows.version(subject.tenant, "w", 2) == second
    for none in (3, 0, -1, 2**70):
        assert await workflows.version(subject.tenant, "w", none) is None
    await workflows.delete(subject.tenant, "w")
    assert await workflows.version(subject.tenant, "w", 2) == second
    third = await workflows.put(subject.tenant, Workflow(key="w", category="news"))
    assert third.version == 3
    template = Template(key="t", channels={Channel.SMS: {"en": {"text": "hi"}}})
    assert (await templates.put(subject.tenant, template)).version == 1


def _template(text: str, **fields: Any) -> Template:
    return Template(key=fields.pop("key", "t"), channels={Channel.SMS: {"en": {"text": text}}}, **fields)


async def old_versions_are_listed(subject: LedgerSubject) -> None:
    """Newest first, page by page, also when the document was deleted; for its tenant only."""
    templates = subject.ledger.setup.templates
    stored = [await templates.put(subject.tenant, _template(f"words {n}")) for n in range(5)]
    await templates.put(subject.tenant, _template("other words", key="t2"))
    await templates.delete(subject.tenant, "t")
    newest = await templates.versions(subject.tenant, "t", None, 3)
    assert list(newest) == [stored[4], stored[3], stored[2]]
    assert list(await templates.versions(subject.tenant, "t", newest[-1].version, 3)) == [
        stored[1],
        stored[0],
    ]
    assert list(await templates.versions(TenantId(999), "t", None, 3)) == []


async def what_is_tried_out_is_kept_apart(subject: LedgerSubject) -> None:
    """Trials are no templates: their keys, which nothing else can have, stay among themselves."""
    setup = subject.ledger.setup
    await setup.test_templates.put(subject.tenant, _template("try", key="~test:t:1"))
    assert list(setup.test_templates.all(subject.tenant)) == ["~test:t:1"]
    assert setup.templates.all(subject.tenant) == {}
    assert await setup.test_templates.delete(subject.tenant, "~test:t:1")


async def a_release_is_one_change(subject: LedgerSubject) -> None:
    """The partial, all templates that use it and the end of the draft are live together, each with its next version."""
    setup = subject.ledger.setup
    await setup.templates.put(subject.tenant, _template("old"))
    draft = TemplateDraft(key="t", template=_template("{{"), revision=1, saved_at=subject.now)
    await setup.drafts.put(subject.tenant, draft)
    assert setup.drafts.all(subject.tenant) == {"t": draft}
    released = await setup.release(
        subject.tenant,
        [_template("new"), _template("also", key="t2")],
        partial=Partial(key="p", source="Hello"),
        draft=draft,
    )
    assert [(t.key, t.version) for t in released] == [("t", 2), ("t2", 1)]
    assert list(setup.templates.all(subject.tenant).values()) == list(released)
    assert setup.partials.all(subject.tenant) == {"p": Partial(key="p", source="Hello", version=1)}
    assert setup.drafts.all(subject.tenant) == {}
    await setup.release(subject.tenant, [], partial=Partial(key="p", source="Good day"))
    first = await setup.partials.version(subject.tenant, "p", 1)
    assert first is not None
    assert first.source == "Hello"
    assert setup.partials.all(subject.tenant)["p"].version == 2


def _schedule(subject: LedgerSubject, key: str, revision: int = 1) -> ScheduleRow:
    return ScheduleRow(
        tenant=subject.tenant, key=key, id=key.ljust(16).encode(), revision=revision, sealed=b""
    )


async def changes_are_applied_together(subject: LedgerSubject) -> None:
    """Documents of several kinds, the tenant and schedules: put with their next versions, and deleted."""
    setup, schedules, tenant = subject.ledger.setup, subject.ledger.schedules, subject.tenant
    await setup.workflows.put(tenant, Workflow(key="w", name="one", category="old"))
    await setup.categories.put(tenant, Category(key="old"))
    await schedules.put(_schedule(subject, "gone"), None)
    await schedules.put(_schedule(subject, "stays"), None)
    named = replace(setup.tenants.all()[tenant], name="Renamed")
    sms = Integration(key="sms", channel=Channel.SMS, provider="twilio", config={"token": "s3cret"})
    await setup.apply(
        SetupDelta(
            after=setup.revision,
            revision=setup.revision,
            tenants=(named,),
            categories=(
                DocumentNow(tenant, "old", None),
                DocumentNow(tenant, "new", Category(key="new", name="New")),
            ),
            workflows=(DocumentNow(tenant, "w", Workflow(key="w", name="two", category="new")),),
            integrations=(DocumentNow(tenant, "sms", sms),),
        ),
        [
            ScheduleChange(tenant=tenant, key="gone", row=None),
            ScheduleChange(tenant=tenant, key="stays", row=_schedule(subject, "stays", 2), after=1),
            ScheduleChange(tenant=tenant, key="new", row=_schedule(subject, "new")),
        ],
    )
    assert setup.tenants.all()[tenant] == named
    assert [*setup.categories.all(tenant)] == ["new"]
    assert setup.workflows.all(tenant)["w"] == Workflow(key="w", name="two", category="new", version=2)
    assert setup.integrations.all(tenant)["sms"] == sms
    assert await schedules.page(tenant, "", 9) == [_schedule(subject, "new"), _schedule(subject, "stays", 2)]


async def changes_made_from_an_older_set_up_are_refused_together(subject: LedgerSubject) -> None:
    """Whatever was changed since, a document or a schedule, nothing of them is stored."""
    setup, schedules, tenant = subject.ledger.setup, subject.ledger.schedules, subject.tenant
    seen = setup.revision
    await setup.categories.put(tenant, Category(key="other"))
    await schedules.put(_schedule(subject, "weekly", 5), None)
    for after, followed in ((seen, 5), (setup.revision, 4)):
        changes = SetupDelta(
            after=after, revision=after, categories=(DocumentNow(tenant, "new", Category(key="new")),)
        )
        following = ScheduleChange(
            tenant=tenant, key="weekly", row=_schedule(subject, "weekly", 6), after=followed
        )
        first = ScheduleChange(tenant=tenant, key="first", row=_schedule(subject, "first"))
        await _refused(setup.apply(changes, [first, following]))
        assert [*setup.categories.all(tenant)] == ["other"]
        assert await schedules.page(tenant, "", 9) == [_schedule(subject, "weekly", 5)]


async def nobody_writes_over_what_they_have_not_seen(subject: LedgerSubject) -> None:
    """A draft, a template or a partial that is another one by now is left as it is, and so is everything with it."""
    setup = subject.ledger.setup
    first = TemplateDraft(key="t", template=_template("one"), revision=1, saved_at=subject.now)
    second = TemplateDraft(key="t", template=_template("two"), revision=2, saved_at=subject.now)
    nothing = ReleaseBasis(templates={}, partials={})
    await setup.drafts.put(subject.tenant, first, fresh=True)
    await setup.drafts.put(subject.tenant, second, before=first)
    await _refused(setup.drafts.put(subject.tenant, first, fresh=True))
    await _refused(setup.drafts.put(subject.tenant, first, before=first))
    await _refused(setup.release(subject.tenant, [_template("one")], draft=first, basis=nothing))
    assert (setup.drafts.all(subject.tenant), setup.templates.all(subject.tenant)) == ({"t": second}, {})
    (live,) = await setup.release(subject.tenant, [_template("two")], draft=second, basis=nothing)
    await _refused(setup.release(subject.tenant, [_template("three")], basis=nothing))
    await setup.partials.put(subject.tenant, Partial(key="p", source="Hello"))
    basis = ReleaseBasis(templates={"t": live}, partials={})
    await _refused(setup.release(subject.tenant, [_template("three")], basis=basis))
    assert setup.templates.all(subject.tenant) == {"t": live}


async def _refused(change: Awaitable[Any]) -> None:
    try:
        await change
    except Conflict:
        return
    raise AssertionError("a change made from what is no longer so must be refused")


async def an_integration_keeps_its_settings(subject: LedgerSubject) -> None:
    """Credentials come back as they were given."""
    given = Integration(key="sms", channel=Channel.SMS, provider="twilio", config={"token": "s3cret"})
    await subject.ledger.setup.integrations.put(subject.tenant, given)
    assert subject.ledger.setup.integrations.all(subject.tenant)["sms"] == given


async def a_tenant_begins_with_an_inbox(subject: LedgerSubject) -> None:
    """In-app messages need no set-up. Replacing the tenant later brings nothing back."""
    setup = subject.ledger.setup
    made = await setup.tenants.put(Tenant(id=TenantId(0), key="brand-new"))
    assert dict(setup.integrations.all(made.id)) == {INBOX.key: INBOX}
    await setup.integrations.delete(made.id, INBOX.key)
    await setup.tenants.put(replace(made, name="Brand New"))
    assert not setup.integrations.all(made.id)


async def a_document_made_from_an_older_one_is_refused(subject: LedgerSubject) -> None:
    """Two changes begun at once: the second would undo the first, so it is told. Also where versions are kept."""
    setup = subject.ledger.setup
    old = Integration(key="sms", channel=Channel.SMS, provider="twilio", config={"token": "old"})
    integrations = old, replace(old, config={"token": "new"}), replace(old, weight=5)
    await _refuse_the_third(setup.integrations, subject.tenant, *integrations)
    await _refuse_the_third(setup.templates, subject.tenant, *map(_template, ("one", "two", "three")))


async def _refuse_the_third(shelf: DocumentsView[T], tenant: TenantId, first: T, second: T, third: T) -> None:
    stored = await shelf.put(tenant, first)
    live = await shelf.put(tenant, second, before=stored)
    await _refused(shelf.put(tenant, third, before=stored))
    found = list(shelf.all(tenant).values())
    assert live in found
    assert first not in found
    assert third not in found


async def changes_of_a_tenant_at_once_are_all_kept(subject: LedgerSubject) -> None:
    """Each is made from what the one before left. What fails changes nothing, and nothing for the others."""
    tenants = subject.ledger.setup.tenants

    def priced(number: int) -> Callable[[Tenant], Tenant]:
        return lambda tenant: replace(tenant, required_locales=(*tenant.required_locales, str(number)))

    def refused(tenant: Tenant) -> Tenant:
        raise Conflict("not like this")

    changes = [priced(number) for number in range(20)]
    results = await asyncio.gather(
        *(tenants.change(subject.tenant, to) for to in (*changes, refused)), return_exceptions=True
    )
    assert isinstance(results.pop(), Conflict)
    kept = tenants.all()[subject.tenant].required_locales
    assert sorted(map(int, kept)) == list(range(20))
    assert sorted(len(tenant.required_locales) for tenant in results) == list(range(1, 21))  # type: ignore[union-attr]


async def a_tenant_gets_its_number(subject: LedgerSubject) -> None:
    """And keeps it when replaced; two tenants never share a key."""
    tenants = subject.ledger.setup.tenants
    other = await tenants.put(Tenant(id=TenantId(0), key="other"))
    assert other.id not in (0, subject.tenant)
    renamed = await tenants.put(Tenant(id=other.id, key="other", name="The other one"))
    assert tenants.all()[other.id] == renamed
    try:
        await tenants.put(Tenant(id=TenantId(0), key="acme"))
    except Conflict:
        return
    raise AssertionError("a second tenant with the same key must be refused")


async def keys_are_found_by_hash(subject: LedgerSubject) -> None:
    """Also revoked ones: the caller decides. A key is revoked once, by its own tenant."""
    keys = subject.ledger.setup.keys
    made = [
        ApiKey(
            id=f"key-{n}",
            tenant=subject.tenant,
            name=f"key {n}",
            hash=bytes([n]) * 32,
            scope=Scope.SEND,
            created_at=Instant(subject.now + n),
        )
        for n in range(3)
    ]
    for key in made:
        await keys.add(key)
    assert await keys.find(made[1].hash) == made[1]
    assert await keys.find(b"unknown") is None
    assert [key.id for key in await keys.page(subject.tenant)] == ["key-2", "key-1", "key-0"]
    assert not await keys.revoke(TenantId(999), "key-1", subject.now)
    assert await keys.revoke(subject.tenant, "key-1", subject.now)
    assert not await keys.revoke(subject.tenant, "key-1", subject.now)
    revoked = await keys.find(made[1].hash)
    assert revoked is not None
    assert revoked.revoked_at == subject.now
    await keys.touch({"key-0": Instant(50), "key-2": Instant(70)})
    await keys.touch({"key-2": Instant(60)})
    assert [key.last_used_at for key in await keys.page(subject.tenant)] == [70, None, 50]


SETUP_CONTRACT = (
    a_document_is_there_once_put,
    workflows_and_templates_count_their_versions,
    changes_are_applied_together,
    changes_made_from_an_older_set_up_are_refused_together,
    old_versions_are_listed,
    a_release_is_one_change,
    nobody_writes_over_what_they_have_not_seen,
    what_is_tried_out_is_kept_apart,
    an_integration_keeps_its_settings,
    a_tenant_begins_with_an_inbox,
    a_document_made_from_an_older_one_is_refused,
    a_tenant_gets_its_number,
    changes_of_a_tenant_at_once_are_all_kept,
    keys_are_found_by_hash,
)
