"""Writing templates: drafts, what is wrong with them, publishing, rolling back, and the partials they share.

A version is complete in itself: it carries the partials it uses as they were, so what was published keeps rendering
the same, whatever happens to them. A changed partial goes live as next versions of the templates that use it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from clarion.content import Code, Finding, Severity, partials_used, review
from clarion.content.templates.schema import reviewed
from clarion.errors import Conflict, NotFound, PreconditionFailed
from clarion.flow.limited_tasks import Task, done
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.setup import (
    Partial,
    ReleaseBasis,
    SendAll,
    SendLadder,
    Template,
    TemplateDraft,
    Tenant,
    Workflow,
)
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.limited import Exceeded, Limited
from clarion.rules.match import nearest

T = TypeVar("T")

TRIES = 4
"""How often what another process outran is checked and tried again."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The result of publishing: the new live version, or None when a finding is an error."""

    template: Template | None
    findings: Sequence[Finding]


class PartialPublished(msgspec.Struct, frozen=True, kw_only=True):
    """The result of changing a partial."""

    partial: Partial | None
    """As it is live now; None when it is broken, or would break a template."""
    templates: Sequence[Template]
    """The next versions of the templates that use it, live with it."""
    findings: Sequence[Finding] = ()
    """What is wrong with it, wherever it is used."""
    broken: Mapping[str, Sequence[Finding]] = {}
    """The errors it would cause, by the key of the template."""
    remarks: Sequence[Finding] = ()
    """What is not wrong with it but could be better, where it is used."""


class PublishConflict(Exception):
    """Another process released something meanwhile: what was checked is not what is live."""


class ReviewTask(Task, frozen=True, kw_only=True):
    """The task to review a template."""

    template: Template
    tenant: Tenant
    opt_out: bool

    def done(self) -> list[Finding]:
        """The findings, also those of its schema."""
        reviewed = review(self.template, self.tenant, opt_out=self.opt_out)
        return [*reviewed, *_schema_findings(self.template)]


class TemplateService:
    """Edits and publishes templates. One change at a time per tenant, across processes, so that the reviewed template is the one published."""

    def __init__(self, setup: SetupView, limited: Limited, clock: Clock) -> None:
        self._setup = setup
        self._limited = limited
        self._clock = clock
        self._turn: defaultdict[TenantId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._by_template: dict[TenantId, tuple[Mapping[str, Workflow], dict[str, list[Workflow]]]] = {}

    def over(self, setup: SetupView) -> TemplateService:
        """The same over another set-up."""
        return TemplateService(setup, self._limited, self._clock)

    # -- drafts ------------------------------------------------------------------------------------------

    async def findings(self, tenant: TenantId, template: Template) -> Sequence[Finding]:
        """Everything to be said about a template as it stands, with the partials it carries, or else the live ones."""
        reviewed = await self._reviewed(tenant, template, template.partials or self._sources(tenant))
        return [*reviewed, *self._wordless(tenant, template)]

    def with_partials(self, tenant: TenantId, template: Template) -> Template:
        """A template that is not published yet, with the partials it could use."""
        return replace(template, partials=self._sources(tenant))

    async def save(
        self, tenant: TenantId, template: Template, revision: int | None, based_on: int | None = None
    ) -> TemplateDraft:
        """Save a draft, even with errors.

        `revision` is that of the draft it was made from (0: there was none); Conflict when there is another by now.
        None replaces whatever is there. `based_on`: the version a new draft was begun from, if not from what is live.
        """
        async with self._turn[tenant]:
            before = self._setup.drafts.all(tenant).get(template.key)
            there = before.revision if before is not None else 0
            if revision is not None and revision != there:
                raise self._changed_draft(tenant, template.key)
            if before is not None:
                based_on = before.based_on
            elif based_on is None:
                based_on = _version(self._setup.templates.all(tenant).get(template.key))
            now = self._clock.now()
            draft = TemplateDraft(
                key=template.key,
                template=_plain(template),
                revision=max(there + 1, now),  # also greater than those of drafts that are gone
                saved_at=now,
                based_on=based_on,
            )
            if revision is None:
                return await self._setup.drafts.put(tenant, draft)
            try:
                return await self._setup.drafts.put(tenant, draft, before=before, fresh=before is None)
            except Conflict:
                raise self._changed_draft(tenant, template.key) from None

    def draft(self, tenant: TenantId, key: str) -> TemplateDraft:
        """The draft of a template, or NotFound."""
        draft = self._setup.drafts.all(tenant).get(key)
        if draft is None:
            raise NotFound(f"The template {key!r} has no draft. Save one with PUT /v1/templates/{key}/draft.")
        return draft

    async def discard(self, tenant: TenantId, key: str, revision: int | None = None) -> None:
        """Discard the draft; Conflict when `revision` names an older one. Or NotFound."""
        async with self._turn[tenant]:
            draft = self._draft(tenant, key, revision)
            try:
                await self._setup.release(tenant, [], draft=draft)
            except Conflict:
                raise self._changed_draft(tenant, key) from None

    # -- publishing --------------------------------------------------------------------------------------

    async def publish(self, tenant: TenantId, template: Template, replaces: int | None = None) -> Published:
        """Make a template the live version, unless a finding is an error. A draft of it stays.

        `replaces`: the version it was made from (0: there was none); Conflict when others wrote another one since.
        """
        return await self._in_turn(
            tenant, lambda: self._publish(tenant, template, "document", replaces=replaces)
        )

    async def publish_draft(
        self, tenant: TenantId, key: str, revision: int | None = None, replaces: int | None = None
    ) -> Published:
        """Make the draft the live version, unless a finding is an error; then it stays a draft. Or NotFound.

        Conflict when `revision` names an older draft, or when others wrote another version since the draft was begun;
        who has seen that one says so with `replaces`.
        """

        async def publish() -> Published:
            draft = self._draft(tenant, key, revision)
            seen = draft.based_on if replaces is None else replaces
            return await self._publish(tenant, draft.template, "draft", replaces=seen, draft=draft)

        return await self._in_turn(tenant, publish)

    async def roll_back(
        self, tenant: TenantId, key: str, version: int, replaces: int | None = None
    ) -> Published:
        """Make an old version the next one, exactly as it was, partials included. Or NotFound.

        Nothing is refused: it was good enough once, and it is needed now; but Conflict when `replaces` is not live.
        """

        async def roll_back() -> Published:
            old = await self._setup.templates.version(tenant, key, version)
            if old is None:
                raise NotFound(f"The template {key!r} has no version {version}.", pointer="#/version")
            basis = self._basis(tenant)
            await self._require(tenant, basis, key, replaces)
            findings = await self._reviewed(tenant, old, old.partials)
            (live,) = await self._release(tenant, [self._stamped(old, f"version {version}")], basis)
            return Published(template=live, findings=findings)

        return await self._in_turn(tenant, roll_back)

    async def _publish(
        self,
        tenant: TenantId,
        template: Template,
        origin: str,
        *,
        replaces: int | None,
        draft: TemplateDraft | None = None,
    ) -> Published:
        basis = self._basis(tenant)
        await self._require(tenant, basis, template.key, replaces)
        sources = self._sources(tenant)
        findings = [*await self._reviewed(tenant, template, sources), *self._wordless(tenant, template)]
        if _errors(findings):
            return Published(template=None, findings=findings)
        whole = replace(template, partials=partials_used(template, sources))
        (live,) = await self._release(tenant, [self._stamped(whole, origin)], basis, draft=draft)
        return Published(template=live, findings=findings)

    # -- taking turns ------------------------------------------------------------------------------------

    async def _in_turn(self, tenant: TenantId, change: Callable[[], Awaitable[T]]) -> T:
        """`change` alone; anew, on what is live then, when another process was faster."""
        async with self._turn[tenant]:
            for _ in range(TRIES):
                try:
                    return await change()
                except PublishConflict:
                    continue
        raise Conflict(
            "The live version changed several times meanwhile, so nothing was published: read the live version, then try again."
        )

    def _basis(self, tenant: TenantId) -> ReleaseBasis:
        return ReleaseBasis(
            templates=self._setup.templates.all(tenant), partials=self._setup.partials.all(tenant)
        )

    async def _release(
        self,
        tenant: TenantId,
        templates: Sequence[Template],
        basis: ReleaseBasis,
        *,
        partial: Partial | None = None,
        draft: TemplateDraft | None = None,
    ) -> Sequence[Template]:
        try:
            return await self._setup.release(tenant, templates, partial=partial, draft=draft, basis=basis)
        except Conflict:
            raise PublishConflict from None

    def _draft(self, tenant: TenantId, key: str, revision: int | None) -> TemplateDraft:
        draft = self.draft(tenant, key)
        if revision not in (None, draft.revision):
            raise self._changed_draft(tenant, key)
        return draft

    async def _require(self, tenant: TenantId, basis: ReleaseBasis, key: str, replaces: int | None) -> None:
        """Conflict when the words of the live version are others than those of the version that was seen."""
        live = basis.templates.get(key)
        if replaces is None or replaces == _version(live):
            return
        seen = await self._setup.templates.version(tenant, key, replaces)
        if live is None or seen is None or _plain(seen) != _plain(live):
            raise _changed_version(replaces, live)

    # -- partials ----------------------------------------------------------------------------------------

    async def put_partial(
        self, tenant: TenantId, partial: Partial, replaces: int | None = None
    ) -> PartialPublished:
        """Make a partial live together with next versions of all templates that use it; or nothing, if one broke.

        `replaces`: the version it was made from (0: there was none); Conflict when another one is live by now.
        """

        async def put() -> PartialPublished:
            basis = self._basis(tenant)
            live = basis.partials.get(partial.key)
            if replaces not in (None, _version(live)):
                raise _changed_version(replaces or 0, live)
            checked = await self.check_partial(tenant, partial)
            if checked.findings or checked.broken:
                return checked
            stamped = replace(partial, published_at=self._clock.now())
            released = await self._release(tenant, checked.templates, basis, partial=stamped)
            if terms.dry_running():
                stored = replace(stamped, version=_version(live) + 1)
            else:
                stored = self._setup.partials.all(tenant)[partial.key]
            return PartialPublished(partial=stored, templates=released)

        return await self._in_turn(tenant, put)

    async def check_partial(self, tenant: TenantId, partial: Partial) -> PartialPublished:
        """The templates that use it as they would go live, or what keeps them from it. Nothing is changed."""
        sources = {**self._sources(tenant), partial.key: partial.source}
        if wrong := await self._wrong_alone(tenant, partial, sources):
            return PartialPublished(partial=None, templates=(), findings=wrong)
        broken: dict[str, Sequence[Finding]] = {}
        remarks: dict[Finding, None] = {}
        templates = []
        for template in self.users_of(tenant, partial.key):
            findings = await self._reviewed(tenant, template, sources)
            if errors := _errors(findings):
                broken[template.key] = errors
                continue
            remarks |= dict.fromkeys(one for one in findings if one.pointer == f"#/partials/{partial.key}")
            whole = replace(template, partials=partials_used(template, sources))
            templates.append(self._stamped(whole, f"partial {partial.key}"))
        return PartialPublished(partial=None, templates=templates, broken=broken, remarks=list(remarks))

    async def _wrong_alone(
        self, tenant: TenantId, partial: Partial, sources: Mapping[str, str]
    ) -> list[Finding]:
        """The errors of a partial by itself, as any plain text that includes it would find them."""
        text = f'{{% include "{partial.key}" %}}'
        user = Template(key=partial.key, channels={Channel.SMS: {"en": {"text": text}}})
        errors = _errors(await self._reviewed(tenant, user, sources))
        return [error for error in errors if error.pointer.startswith("#/partials/")]

    async def delete_partial(self, tenant: TenantId, key: str) -> None:
        """Take away a partial that no live template uses. Conflict names those that do; or NotFound."""
        async with self._turn[tenant]:
            if users := [template.key for template in self.users_of(tenant, key)]:
                raise Conflict(
                    f"The partial is used by the templates {', '.join(users)}: change those first."
                )
            if not await self._setup.partials.delete(tenant, key):
                there = self._setup.partials.all(tenant)
                raise NotFound(f"There is no partial {key!r}. {nearest(key, there)}".rstrip())

    def users_of(self, tenant: TenantId, key: str) -> list[Template]:
        """The live templates that use a partial, directly or through others."""
        return [t for _, t in sorted(self._setup.templates.all(tenant).items()) if key in t.partials]

    # -- together ----------------------------------------------------------------------------------------

    def _sources(self, tenant: TenantId) -> dict[str, str]:
        return {key: partial.source for key, partial in self._setup.partials.all(tenant).items()}

    async def _reviewed(
        self, tenant: TenantId, template: Template, sources: Mapping[str, str]
    ) -> Sequence[Finding]:
        """In the limited process: nobody has looked at the template yet."""
        task = ReviewTask(
            template=replace(template, partials=dict(sources)),
            tenant=self._setup.tenants.all()[tenant],
            opt_out=self.can_be_left(tenant, template.key),
        )
        found = await done(self._limited, task, list[Finding])
        return [_error(Code.LIMIT, "#", found.detail)] if isinstance(found, Exceeded) else found

    def can_be_left(self, tenant: TenantId, key: str) -> bool:
        """Some workflow sends it in a category that people may opt out of."""
        categories = self._setup.categories.all(tenant)
        return any(
            not categories[workflow.category].critical
            for workflow in self._senders(tenant, key)
            if workflow.category in categories
        )

    def _senders(self, tenant: TenantId, key: str) -> Sequence[Workflow]:
        """The workflows that send a template, found anew when any workflow changes."""
        workflows = self._setup.workflows.all(tenant)
        known, senders = self._by_template.get(tenant, (None, {}))
        if known is not workflows:
            senders = {}
            for workflow in workflows.values():
                for template in workflow.templates():
                    senders.setdefault(template, []).append(workflow)
            self._by_template[tenant] = workflows, senders
        return senders.get(key, ())

    def _wordless(self, tenant: TenantId, template: Template) -> Iterator[Finding]:
        """Channels on which workflows send it although it says nothing there: every such message would fail."""
        for workflow in self._senders(tenant, template.key):
            for channel in _needed(workflow, template.key):
                if channel not in template.channels:
                    detail = (
                        f"the workflow {workflow.key!r} sends it by {channel}: keep that part, or take the channel out "
                        "of the workflow first"
                    )
                    yield _error(Code.CHANNEL_IN_USE, "#/channels", detail)

    def _changed_draft(self, tenant: TenantId, key: str) -> PreconditionFailed:
        there = self._setup.drafts.all(tenant).get(key)
        return PreconditionFailed(
            "The draft was changed or removed meanwhile: read it again, then decide what to keep.",
            current=None if there is None else f"d{there.revision}",
        )

    def _stamped(self, template: Template, origin: str) -> Template:
        return replace(template, origin=origin, published_at=self._clock.now())


def _changed_version(seen: int, live: Template | Partial | None) -> PreconditionFailed:
    was, is_now = (f"version {n}" if n else "nothing" for n in (seen, _version(live)))
    return PreconditionFailed(
        f"It was made from {was}, but {is_now} is live by now: compare the two, then publish again, naming "
        f"version {_version(live)} as the one it replaces.",
        current=None if live is None else f"v{live.version}",
    )


def _version(live: Template | Partial | None) -> int:
    return 0 if live is None else live.version


def _schema_findings(template: Template) -> Iterator[Finding]:
    """What is wrong with the schema of the data, or with the example by it."""
    of_schema, of_example = reviewed(template.data_schema, template.example_data)
    for m in of_schema:
        yield _error(Code.DATA_SCHEMA, f"#/data_schema{m.pointer}", m.detail)
    for m in of_example:
        yield _error(Code.EXAMPLE_DATA, f"#/example_data{m.pointer}", f"by the schema: {m.detail}")


def _error(code: Code, pointer: str, detail: str) -> Finding:
    return Finding(severity=Severity.ERROR, code=code, pointer=pointer, detail=detail)


def _needed(workflow: Workflow, template: str) -> Iterator[Channel]:
    """The channels on which a workflow sends a template, come what may: `first` passes over those without words."""
    for step in workflow.sends():
        if step.template == template:
            if isinstance(step.to, SendLadder):
                yield from dict.fromkeys((*(one.channel for one in step.to.channels), *step.to.always))
            elif isinstance(step.to, SendAll):
                yield from step.to.channels


def _plain(template: Template) -> Template:
    """Without what only publishing knows."""
    return replace(template, version=0, partials={}, published_at=Instant(0), origin="")


def _errors(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is Severity.ERROR]
