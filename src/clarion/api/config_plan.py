"""Plans of configuration: what a set of documents would change, and applying exactly that.

A plan is tried, not guessed: every change goes through the function of its route, on a set-up that only the plan sees.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import msgspec

from clarion.api import faults, request_bodies
from clarion.api.auth import Identity
from clarion.api.config_kinds import BY_NAME, KINDS, ConfigKind
from clarion.api.dependencies import ApiParts
from clarion.api.problems import Fault, Problem, faults_at, problem
from clarion.api.secret_fields import MASK
from clarion.errors import ClarionError, PreconditionFailed, UnknownReference
from clarion.flow.staged_setup import staged
from clarion.model.conditions import Conditions
from clarion.model.run import by_version
from clarion.model.user import Value
from clarion.ports import terms
from clarion.ports.terms import Subject, Terms
from clarion.services.setup import SetupService

FORMAT = 1
"""Of the documents together. Raised when a folder of before could not be read any more."""


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
    """What was applied."""

    plan_id: str
    applied: tuple[ConfigChange, ...]
    """In the order in which they were made."""
    not_applied: tuple[ConfigChange, ...]
    """What is left when one of them failed. Plan and apply again to go on."""
    error: Problem | None
    """Why the first of `not_applied` failed."""


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

    async def do(self, caller: Identity, parts: ApiParts, *, trial: bool) -> None:
        """Through the function of the route."""
        if self.document is not None:
            await self.kind.put(self.key, self.document, caller, parts)
        else:
            delete = (self.kind.try_delete if trial else None) or self.kind.delete
            assert delete is not None
            await delete(self.key, caller, parts)


class TriedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, and the steps in an order in which each is possible."""

    plan: ConfigPlan
    steps: tuple[ConfigStep, ...]

    def change_of(self, step: ConfigStep) -> ConfigChange:
        """What the plan says of a step."""
        name = (step.kind.name, step.key or None)
        return next(one for one in self.plan.changes if (one.kind, one.key) == name)


class ConfigPlanner:
    """Plans and applies the configuration of the caller's tenant."""

    def __init__(self, caller: Identity, parts: ApiParts) -> None:
        self._caller = caller
        self._parts = parts

    async def live(self) -> dict[str, dict[str, Any]]:
        """Every document as it stands in a file."""
        found = {kind: await self._written(kind, self._parts) for kind in KINDS}
        return {kind.name: its[""] if kind.single else its for kind, its in found.items() if its}

    async def plan(self, body: ConfigBody) -> TriedPlan:
        """What would change, and everything that is wrong. Nothing is stored."""
        wrong = [*self._wrong_names(body)]
        steps, unreadable = await self._steps(body)
        trial = await self._trial()
        possible, refused = await self._tried(steps, trial)
        broken = {step.key for step, _ in refused} | {key for key, _ in unreadable}
        wrong += [fault for _, found in unreadable for fault in found]
        wrong += [
            fault
            for step, error in refused
            for fault in faults_at(step.pointer[1:], error)
            if not _follows(error, fault, broken)
        ]
        changes = [change for step in possible if (change := await self._change(step, trial)) is not None]
        order = {kind.name: number for number, kind in enumerate(KINDS)}
        changes.sort(key=lambda one: (order[one.kind], one.key or ""))
        names = {(one.kind, one.key) for one in changes}
        plan = ConfigPlan(
            plan_id=None if wrong else _id_of(changes),
            changes=tuple(changes),
            kept=tuple([one async for one in self._kept(body)]),
            errors=tuple(wrong),
        )
        return TriedPlan(
            plan=plan, steps=tuple(step for step in possible if (step.kind.name, step.key or None) in names)
        )

    async def apply(self, planned: TriedPlan) -> ConfigApplied:
        """Make the changes of a plan, each only if its document is still what the plan saw."""
        done: list[ConfigChange] = []
        error: Problem | None = None
        for step in planned.steps:
            try:
                await self._store(step)
            except ClarionError as refused:
                error = problem(refused)
                break
            done.append(planned.change_of(step))
        return ConfigApplied(
            plan_id=planned.plan.plan_id or "",
            applied=tuple(done),
            not_applied=tuple(map(planned.change_of, planned.steps[len(done) :])),
            error=error,
        )

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

    async def _steps(self, body: ConfigBody) -> tuple[list[ConfigStep], list[tuple[str, Sequence[Fault]]]]:
        """What is to be stored and deleted; and by key, what is wrong with documents that cannot be read."""
        steps: list[ConfigStep] = []
        unreadable: list[tuple[str, Sequence[Fault]]] = []
        for kind in KINDS:
            said = body.documents.get(kind.name)
            wanted = {} if said is None else {"": said} if kind.single else said
            live = await kind.live(self._caller, self._parts)
            written = {key: kind.written(document) for key, document in live.items()}
            for key, plain in wanted.items():
                try:
                    document = request_bodies.convert(kind.with_masks(plain, live.get(key)), kind.document)
                except ClarionError as error:
                    place = "/".join(["", "documents", kind.name, *([] if kind.single else [key])])
                    unreadable.append((key, faults_at(place, error)))
                    continue
                if key not in written or kind.written(document) != written[key]:
                    steps.append(ConfigStep(kind=kind, key=key, document=document, before=written.get(key)))
            if kind.name in body.owns and not kind.single:
                steps += [
                    ConfigStep(kind=kind, key=key, document=None, before=before)
                    for key, before in written.items()
                    if key not in wanted
                ]
        return steps, unreadable

    async def _kept(self, body: ConfigBody) -> AsyncIterator[ConfigDocument]:
        for kind in KINDS:
            if kind.name in body.owns:
                continue
            said = body.documents.get(kind.name)
            named = {"": said} if kind.single and said is not None else said or {}
            for key, live in (await self._written(kind, self._parts)).items():
                if key not in named and (live or not kind.single):
                    yield ConfigDocument(kind=kind.name, key=key or None)

    async def _written(self, kind: ConfigKind, parts: ApiParts) -> dict[str, dict[str, Any]]:
        live = await kind.live(self._caller, parts)
        return {key: kind.written(document) for key, document in live.items()}

    # -- trying ------------------------------------------------------------------------------------------------

    async def _trial(self) -> ApiParts:
        """All parts, on a set-up in which nothing is stored."""
        setup = await staged(self._parts.ledger.setup, self._caller.tenant)
        ledger = copy.copy(self._parts.ledger)
        ledger.setup = setup
        services, setup_service = self._parts.services, SetupService(setup, self._parts.ledger.runs)
        services = replace(
            services,
            setup=setup_service,
            templates=services.templates.over(setup),
            segments=services.segments.over(setup_service),
            schedules=services.schedules.over(setup),
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
                    await _on(Terms(dry=True), lambda step=step: step.do(self._caller, trial, trial=True))  # type: ignore[misc]
                except ClarionError as error:
                    refused.append((step, error))
                else:
                    await trial.ledger.setup.catch_up()
                    possible.append(step)
            if len(refused) == len(left):
                return possible, refused
            left = [step for step, _ in refused]
        return possible, []

    async def _change(self, step: ConfigStep, trial: ApiParts) -> ConfigChange | None:
        """What a step changes; None: nothing."""
        after: dict[str, Any] | None = None
        if step.document is not None and step.kind.in_setup:
            after = (await self._written(step.kind, trial)).get(step.key)
        elif step.document is not None:
            after = step.kind.written(step.document)
        fields: list[FieldChange] = []
        if step.document is not None:
            before = {} if step.before is None else step.kind.whole(step.before)
            now = (after or {}) if step.before is None else step.kind.whole(after or {})
            fields = [*differences(before, now), *await self._new_secrets(step, trial)]
        if step.before is not None and step.document is not None and not fields:
            return None
        waiting: Mapping[int, int] = {}
        if step.kind.name == "workflows" and step.before is not None:
            waiting = by_version(await self._parts.ledger.runs.waiting(self._caller.tenant, step.key))
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
            waiting_runs={str(version): count for version, count in sorted(waiting.items()) if count},
        )

    async def _new_secrets(self, step: ConfigStep, trial: ApiParts) -> list[FieldChange]:
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
            shown = getattr((await step.kind.live(self._caller, trial))[step.key], name)
            for key, value in shown.items():
                if value == MASK and before.get(key) != after.get(key):
                    was = MASK if key in before else None
                    found.append(FieldChange(field=f"{name}.{key}", before=was, after=MASK))
        return found

    # -- storing -----------------------------------------------------------------------------------------------

    async def _store(self, step: ConfigStep) -> None:
        subject = Subject(tenant=self._caller.tenant, kind=step.kind.noun, key=step.key)
        tag = await self._parts.ledger.tag(subject)
        await self._parts.ledger.setup.catch_up()
        if (await self._written(step.kind, self._parts)).get(step.key) != step.before:
            raise PreconditionFailed(CHANGED, current=tag)
        match = Conditions(none_match=("*",)) if tag is None else Conditions(match=(f'"{tag}"',))
        on = Terms(subject, match, creates=step.document is not None)
        await _on(on, lambda: step.do(self._caller, self._parts, trial=False))


async def _on(on: Terms, work: Callable[[], Awaitable[None]]) -> None:
    """`work` on terms of its own: those of the request are in force again behind it."""

    async def run() -> None:
        terms.enter(on)
        await work()

    await asyncio.create_task(run())


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
