"""Plans of configuration: what a set of documents would change, and applying exactly that.

A plan is tried, not guessed: every change goes through the function of its route, on a set-up that only the plan sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import msgspec

from clarion.api import faults, request_bodies
from clarion.api.auth import Identity
from clarion.api.config_kinds import BY_NAME, KINDS, ConfigKind
from clarion.api.dependencies import ApiParts
from clarion.api.problems import Fault, RejectedRequest, faults_at
from clarion.api.secret_fields import MASK
from clarion.errors import ClarionError, Conflict, PreconditionFailed, UnknownReference
from clarion.flow.staged_setup import StagedLedger
from clarion.model.ids import TenantId
from clarion.model.run import by_version
from clarion.model.user import Value
from clarion.ports import terms
from clarion.ports.terms import Terms
from clarion.services.setup import SetupService

TRIES = 4
"""How often a plan is made again when others change the configuration at the same time."""
FORMAT = 1
"""Of the documents together. Raised when a folder of before could not be read any more."""


WaitingRuns = Mapping[str, Mapping[tuple[int, str], int]]
"""By workflow, then by version and step: how many wait."""
CHANGED = (
    "What is live, or what you sent, is not what the plan saw: plan again, and look at what is different."
)


class ConfigAction(StrEnum):
    """What happens to a document."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


class ConfigBody(Value, frozen=True, kw_only=True):
    """Documents that the tenant shall have."""

    documents: dict[str, dict[str, Any]] = {}
    """ConfigKind -> key -> document, as `GET /v1/config` answers it. Settings such as `tenant` have no key."""
    owns: tuple[str, ...] = ()
    """Kinds that are complete: what is live of them and not in `documents` is deleted."""
    tenant: str | None = None
    """Refuse when the key of the tenant is another."""


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a document."""

    field: str
    """Its path: `steps[remind].for_s`."""
    before: Any
    """null: it was not there."""
    after: Any


class ConfigChange(msgspec.Struct, frozen=True, kw_only=True):
    """One document that would be another."""

    kind: str
    key: str | None
    action: ConfigAction
    fields: tuple[FieldChange, ...]
    waiting_runs: dict[str, int]
    """Of a workflow: runs that wait in it now, by the version they keep."""


class ConfigDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The name of one document."""

    kind: str
    key: str | None


class ConfigPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What applying these documents would do."""

    plan_id: str | None
    """Names exactly these changes of what is live now. null: there are errors."""
    changes: tuple[ConfigChange, ...]
    kept: tuple[ConfigDocument, ...]
    """Live documents that `documents` does not have. They stay, because `owns` does not name their kind."""
    errors: tuple[Fault, ...]


class ConfigApplied(msgspec.Struct, frozen=True, kw_only=True):
    """What was applied, all of it at once."""

    plan_id: str
    applied: tuple[ConfigChange, ...]


class ConfigStep(msgspec.Struct, frozen=True, kw_only=True):
    """A document to store, or to delete."""

    kind: ConfigKind
    key: str
    document: Value | None
    """None: delete it."""
    before: dict[str, Any] | None
    """As it is live now."""

    @property
    def pointer(self) -> str:
        """Where the body has it."""
        return faults.pointer([part for part in ("documents", self.kind.name, self.key) if part])

    async def do(self, caller: Identity, parts: ApiParts) -> None:
        """Through the function of the route."""
        if self.document is not None:
            await self.kind.put(self.key, self.document, caller, parts)
        else:
            delete = self.kind.try_delete or self.kind.delete
            assert delete is not None
            await delete(self.key, caller, parts)


class TriedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, the steps that change something, and what all of them together made."""

    plan: ConfigPlan
    steps: tuple[ConfigStep, ...]
    staged: StagedLedger


class ConfigPlanner:
    """Plans and applies the configuration of the caller's tenant."""

    def __init__(self, caller: Identity, parts: ApiParts) -> None:
        self._caller = caller
        self._parts = parts

    async def live(self) -> dict[str, dict[str, Any]]:
        """Every document as it stands in a file."""
        found = {
            kind: {key: kind.written(document) for key, document in its.items()}
            for kind, its in (await self._documents(self._parts)).items()
        }
        return {kind.name: its[""] if kind.single else its for kind, its in found.items() if its}

    async def _documents(self, parts: ApiParts) -> dict[ConfigKind, Mapping[str, Value]]:
        return {kind: await kind.live(self._caller, parts) for kind in KINDS}

    async def plan(self, body: ConfigBody) -> TriedPlan:
        """What would change, and everything that is wrong. Nothing is stored."""
        wrong = [*self._wrong_names(body)]
        live = await self._documents(self._parts)
        steps, unreadable = self._steps(body, live)
        staged = await StagedLedger.of(self._parts.ledger, self._caller.tenant)
        waiting = await self._parts.ledger.runs.waiting(self._caller.tenant)
        trial = self._trial(staged, waiting)
        possible, refused = await self._tried(steps, trial)
        broken = {step.key for step, _ in refused} | {key for key, _ in unreadable}
        wrong += [fault for _, found in unreadable for fault in found]
        wrong += [
            fault
            for step, error in refused
            for fault in faults_at(step.pointer[1:], error)
            if not _follows(error, fault, broken)
        ]
        then = await self._documents(trial)
        changes = [
            change
            for step in possible
            if (change := self._change(step, trial, then[step.kind].get(step.key), waiting)) is not None
        ]
        order = {kind.name: number for number, kind in enumerate(KINDS)}
        changes.sort(key=lambda one: (order[one.kind], one.key or ""))
        names = {(one.kind, one.key) for one in changes}
        plan = ConfigPlan(
            plan_id=None if wrong else _id_of(changes),
            changes=tuple(changes),
            kept=tuple(_kept(body, live)),
            errors=tuple(wrong),
        )
        steps = [step for step in possible if (step.kind.name, step.key or None) in names]
        return TriedPlan(plan=plan, steps=tuple(steps), staged=staged)

    async def apply(self, body: ConfigBody, plan_id: str) -> ConfigApplied:
        """Make exactly the changes of a plan, all of them in one transaction. Raises PreconditionFailed when it would be
        another plan by now."""
        for _ in range(TRIES):
            planned = await self.plan(body)
            if errors := planned.plan.errors:
                raise RejectedRequest(f"These documents cannot be applied: {errors[0].detail}", errors)
            if planned.plan.plan_id != plan_id:
                break
            if terms.dry_running():
                return ConfigApplied(plan_id=plan_id, applied=planned.plan.changes)
            try:
                await planned.staged.store()
            except Conflict:  # something else was changed since: perhaps nothing that the plan is about
                await self._parts.ledger.setup.catch_up()
                continue
            await self._follow(planned.steps)
            return ConfigApplied(plan_id=plan_id, applied=planned.plan.changes)
        raise PreconditionFailed(CHANGED, current=None)

    async def _follow(self, steps: Sequence[ConfigStep]) -> None:
        """What is not configuration follows it: the members of a segment, the position of a source that is gone."""
        for step in steps:
            then = step.kind.deleted if step.document is None else step.kind.stored
            if then is not None:
                await then(self._parts, self._caller.tenant, step.key)

    # -- what is wanted ----------------------------------------------------------------------------------------

    def _wrong_names(self, body: ConfigBody) -> Iterator[Fault]:
        own = self._parts.ledger.setup.tenants.all()[self._caller.tenant].key
        if body.tenant not in (None, own):
            yield Fault(
                detail=f"these documents are for the tenant {body.tenant!r}, but the API key belongs to {own!r}.",
                code="not_allowed",
                pointer="#/tenant",
                allowed=(own,),
            )
        many = [kind.name for kind in KINDS if not kind.single]
        named = [(name, faults.pointer(["documents", name]), [*BY_NAME]) for name in body.documents]
        named += [(name, f"#/owns/{place}", many) for place, name in enumerate(body.owns)]
        for name, pointer, valid in named:
            if name not in valid:
                yield Fault(
                    detail=f"there is no kind of documents {name!r}{faults.hint(name, valid)}",
                    code="not_allowed",
                    pointer=pointer,
                    allowed=tuple(valid),
                    did_you_mean=faults.nearest(name, valid),
                )

    def _steps(
        self, body: ConfigBody, live: Mapping[ConfigKind, Mapping[str, Value]]
    ) -> tuple[list[ConfigStep], list[tuple[str, Sequence[Fault]]]]:
        """What is to be stored and deleted; and by key, what is wrong with documents that cannot be read."""
        steps: list[ConfigStep] = []
        unreadable: list[tuple[str, Sequence[Fault]]] = []
        for kind in KINDS:
            said = body.documents.get(kind.name)
            wanted = {} if said is None else {"": said} if kind.single else said
            for key, plain in wanted.items():
                stored = live[kind].get(key)
                try:
                    document = request_bodies.convert(kind.with_masks(plain, stored), kind.document)
                except ClarionError as error:
                    place = "/".join(["", "documents", kind.name, *([] if kind.single else [key])])
                    unreadable.append((key, faults_at(place, error)))
                    continue
                before = None if stored is None else kind.written(stored)
                if kind.written(document) != before:
                    steps.append(ConfigStep(kind=kind, key=key, document=document, before=before))
            if kind.name in body.owns and not kind.single:
                steps += [
                    ConfigStep(kind=kind, key=key, document=None, before=kind.written(stored))
                    for key, stored in live[kind].items()
                    if key not in wanted
                ]
        return steps, unreadable

    # -- trying ------------------------------------------------------------------------------------------------

    def _trial(self, staged: StagedLedger, waiting: WaitingRuns) -> ApiParts:
        """All parts, on a configuration that only this plan sees."""
        ledger, services = staged.ledger, self._parts.services

        async def waiting_then(tenant: TenantId, workflow: str) -> WaitingRuns:
            return waiting

        setup = SetupService(ledger.setup, waiting_then)
        services = replace(
            services,
            setup=setup,
            templates=services.templates.over(ledger.setup),
            segments=services.segments.over(ledger, setup),
            schedules=services.schedules.over(ledger),
        )
        return replace(self._parts, ledger=ledger, services=services)

    async def _tried(
        self, steps: Sequence[ConfigStep], trial: ApiParts
    ) -> tuple[list[ConfigStep], list[tuple[ConfigStep, ClarionError]]]:
        """The steps that are possible, in an order in which they are, and why the others are not."""
        possible: list[ConfigStep] = []
        left = [*steps]
        while left:
            refused: list[tuple[ConfigStep, ClarionError]] = []
            for step in left:
                try:
                    await in_terms(Terms(dry=True), lambda step=step: step.do(self._caller, trial))  # type: ignore[misc]
                except ClarionError as error:
                    refused.append((step, error))
                else:
                    await trial.ledger.setup.catch_up()
                    possible.append(step)
            if len(refused) == len(left):
                return possible, refused
            left = [step for step, _ in refused]
        return possible, []

    def _change(
        self, step: ConfigStep, trial: ApiParts, then: Value | None, waiting: WaitingRuns
    ) -> ConfigChange | None:
        """What a step changes; None: nothing. `then`: the document as it would be."""
        after: dict[str, Any] | None = None
        if step.document is not None:
            after = None if then is None else step.kind.written(then)
        fields: list[FieldChange] = []
        if step.document is not None:
            before = {} if step.before is None else step.kind.whole(step.before)
            now = (after or {}) if step.before is None else step.kind.whole(after or {})
            fields = [*differences(before, now), *self._new_secrets(step, trial, then)]
        if step.before is not None and step.document is not None and not fields:
            return None
        runs: Mapping[int, int] = {}
        if step.kind.name == "workflows" and step.before is not None:
            runs = by_version(waiting.get(step.key, {}))
        action = (
            ConfigAction.DELETE
            if step.document is None
            else ConfigAction.CREATE
            if step.before is None
            else ConfigAction.CHANGE
        )
        return ConfigChange(
            kind=step.kind.name,
            key=step.key or None,
            action=action,
            fields=tuple(fields),
            waiting_runs={str(version): count for version, count in sorted(runs.items()) if count},
        )

    def _new_secrets(self, step: ConfigStep, trial: ApiParts, then: Value | None) -> list[FieldChange]:
        """Secrets that would be others, without a word of them."""
        found: list[FieldChange] = []
        for name in step.kind.secrets:
            before, after = (
                getattr(
                    getattr(parts.ledger.setup, step.kind.name).all(self._caller.tenant).get(step.key),
                    name,
                    {},
                )
                for parts in (self._parts, trial)
            )
            for key, value in getattr(then, name).items():
                if value == MASK and before.get(key) != after.get(key):
                    was = MASK if key in before else None
                    found.append(FieldChange(field=f"{name}.{key}", before=was, after=MASK))
        return found


async def in_terms(on: Terms, work: Callable[[], Awaitable[None]]) -> None:
    """`work` on terms of its own: those of the request are in force again behind it."""

    async def run() -> None:
        terms.enter(on)
        await work()

    await asyncio.create_task(run())


def _kept(body: ConfigBody, live: Mapping[ConfigKind, Mapping[str, Value]]) -> Iterator[ConfigDocument]:
    for kind, documents in live.items():
        if kind.name in body.owns:
            continue
        said = body.documents.get(kind.name)
        named = {"": said} if kind.single and said is not None else said or {}
        for key, document in documents.items():
            if key not in named and (not kind.single or kind.written(document)):
                yield ConfigDocument(kind=kind.name, key=key or None)


def _follows(error: ClarionError, fault: Fault, broken: Iterable[str]) -> bool:
    """It only says that a document is missing whose own faults are told anyway."""
    return fault.code == UnknownReference.code and fault.value in broken


def _id_of(changes: Sequence[ConfigChange]) -> str:
    return blake2b(msgspec.json.encode(changes, order="deterministic"), digest_size=12).hexdigest()


def differences(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    """Field by field, what is different. Entries of lists are compared with those of the
    same `key` or `channel`, where these tell them apart."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{path}.{name}" if path else name
            yield from differences(before.get(name), after.get(name), inner)
        return
    old, new = _keyed(before), _keyed(after)
    if old and new:
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{path}[{key}]")
        kept = [key for key in old if key in new]
        if kept != [key for key in new if key in old]:
            yield FieldChange(field=f"{path} (order)", before=[*old], after=[*new])
        return
    yield FieldChange(field=path, before=before, after=after)


def _keyed(entries: Any) -> dict[str, Any]:
    """The entries of a list by what names each; empty when nothing does."""
    if isinstance(entries, list | tuple) and all(isinstance(one, dict) for one in entries):
        for name in ("key", "channel"):
            found = {str(one[name]): one for one in entries if name in one}
            if len(found) == len(entries):
                return found
    return {}
