"""What people say about runs: answers to questions and acknowledgements, whichever channel they come by.

The first answer counts. It is stored with the run, which goes on; what of the question is not being sent yet is canceled
in the same transaction. So is what a repetition planned, once somebody has acknowledged it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from clarion.content.button_words import words_for
from clarion.content.buttons import ACKNOWLEDGE, label_of, labels_of, option_in
from clarion.errors import Conflict, InvalidInput, QuestionClosed
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.ledger import Ledger
from clarion.flow.run_states import acknowledged, answered, opened_answers, opened_state
from clarion.model.channel import Channel
from clarion.model.ids import MessageId, RunId, TenantId, UserNo, run_id
from clarion.model.message import Message, MessageFilter
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.run import RunRow, RunStatus, StepAnswer
from clarion.model.setup import Step, Tenant, Workflow
from clarion.model.status import Reason
from clarion.model.user import User
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.match import nearest
from clarion.rules.places import locale
from clarion.rules.steps.ask import LONGEST_TEXT, OTHER, questions
from clarion.rules.steps.repeat import acknowledgeable
from clarion.services.message_references import MessageReferences
from clarion.services.response_links import ResponseLinks

LOOKED_AT = 5
"""Messages of a user that are looked at for a question when they write something."""


class Given(NamedTuple):
    """An answer as it comes."""

    answer: str
    """The key of an option, or `other`."""
    channel: str
    text: str = ""
    by: str = ""


class Reply(NamedTuple):
    """What came of an answer."""

    run: RunRow
    step: str
    """Whose question it is."""
    answer: StepAnswer
    """The one that counts."""
    accepted: bool
    """It is this one; False: there was one before."""


class Question(NamedTuple):
    """What a message asks of its user."""

    message: Message
    user: User
    tenant: Tenant
    step: Step | None
    """The question; None: to acknowledge what it repeats."""
    run: RunRow
    answer: StepAnswer | None
    """The one that counts."""
    open: bool
    """Somebody waits for an answer."""

    @property
    def languages(self) -> tuple[str, str]:
        """That of its reader, and that of the tenant."""
        return locale(self.user.profile, self.tenant)[0], self.tenant.locale

    @property
    def labels(self) -> Sequence[str]:
        """What stands on its buttons, in order."""
        return labels_of(self.step, *self.languages)

    @property
    def buttons(self) -> Sequence[str]:
        """What its buttons are pressed by, in order."""
        return (ACKNOWLEDGE,) if self.step is None else [str(at) for at in range(len(self.step.options))]

    def said(self) -> str:
        """The answer that counts, as its reader knows it; empty: there is none."""
        if self.answer is None or self.step is None:
            return ""
        if self.answer.answer not in self.step.options:
            return self.answer.text
        return label_of(self.step, self.answer.answer, *self.languages)


class Pressed(NamedTuple):
    """What came of a button that somebody pressed, or of words that they wrote."""

    question: Question
    """As it is now."""
    accepted: bool
    """It is what they said; False: there was an answer before, or the time is over."""


class Responses:
    """Takes answers and acknowledgements."""

    def __init__(
        self,
        ledger: Ledger,
        guard: CancellationGuard,
        receive: Callable[[Sequence[Receipt]], Awaitable[Sequence[bool]]],
        links: ResponseLinks,
        vault: Vault,
        clock: Clock,
    ) -> None:
        """`receive` is the receipt tracker's."""
        self._runs = ledger.runs
        self._users = ledger.users
        self._records = ledger.records
        self._workflows = ledger.setup.workflows
        self._guard = guard
        self._receive = receive
        self._links = links
        self._references = MessageReferences(vault)
        self._tenants = ledger.setup.tenants
        self._vault = vault
        self._clock = clock

    async def answer(self, tenant: TenantId, run: RunId, given: Given, step: str = "") -> Reply | None:
        """Answer the question of a step, without one the question that a run waits for or asked last. None: there is no such
        run. Repeating it is harmless. Raises InvalidInput for what is no answer to it, QuestionClosed when nobody waits for
        one, and Conflict when the workflow asks nothing."""
        while True:
            row = await self._runs.get(tenant, run)
            if row is None:
                return None
            user, workflow = await self._known(row)
            if user is None or workflow is None:
                raise QuestionClosed("The user or the workflow of this run was deleted.")
            question = _question(workflow, row, step)
            _check(question, given)
            before = opened_answers(row, user, self._vault).get(question.key)
            if before is not None:
                return Reply(row, question.key, before, accepted=False)
            if row.status is not RunStatus.WAITING or row.step != question.key:
                raise QuestionClosed(f"The run does not wait for an answer to {question.key!r}.")
            state, now = opened_state(row, user, self._vault), self._clock.now()
            if now >= state.due_at:
                raise QuestionClosed(f"The time for an answer to {question.key!r} is over.")
            answer = StepAnswer(
                answer=given.answer, text=given.text, channel=given.channel, at=now, by=given.by
            )
            changed = answered(row, question.key, answer, user, self._vault, now)
            stored = await self._changed(changed, state.asked, Reason.ANSWERED)
            if stored is not None:
                return Reply(stored, question.key, answer, accepted=True)

    def answers(self, row: RunRow, user: User | None) -> Mapping[str, StepAnswer]:
        """Those to the questions of a run, by step."""
        return {} if user is None or user.unreadable else opened_answers(row, user, self._vault)

    async def acknowledge(self, tenant: TenantId, run: RunId) -> RunRow | None:
        """Somebody has seen what a run is about: as it is then, when no step that repeats until then begins another round, and
        what such a step planned and is not being sent yet is canceled. None: there is no such run. Repeating it is
        harmless; a run that is over stays as it is. Raises Conflict when none of its steps repeats until then."""
        while True:
            row = await self._runs.get(tenant, run)
            if row is None or row.status is not RunStatus.WAITING:
                return row
            user, workflow = await self._known(row)
            if user is None or workflow is None:
                return row  # It ends when it would go on.
            steps = acknowledgeable(workflow.steps)
            if not steps:
                raise Conflict(
                    f"The workflow {row.workflow!r} has no step that repeats until it is acknowledged."
                )
            state = opened_state(row, user, self._vault)
            if state.acknowledged is not None:
                return row
            sent = [one for step in steps for one in state.messages.get(step, ())]
            changed = acknowledged(row, state, user, self._vault, self._clock.now())
            stored = await self._changed(changed, sent, Reason.ACKNOWLEDGED)
            if stored is not None:
                return stored

    # -- by the buttons of a message ------------------------------------------------------------------------

    async def behind(self, token: str) -> tuple[Question, str] | None:
        """The question behind a link, and the button that it is for (empty: any of them). None: the link is not one of
        ours, or leads nowhere any more."""
        link = self._links.read(token)
        message = None if link is None else await self._records.get(link.tenant, link.message)
        question = None if message is None else await self.asked_in(message)
        return None if question is None or link is None else (question, link.button)

    async def asked_in(self, message: Message) -> Question | None:
        """What a message asks; None: nothing, or its run or user is gone."""
        run = run_id(message.event_id, message.workflow, message.user)
        row = await self._runs.get(message.tenant, run)
        tenant = self._tenants.all().get(message.tenant)
        if row is None or tenant is None:
            return None
        user, workflow = await self._known(row)
        if user is None or workflow is None:
            return None
        step = next((one for one in questions(workflow.steps) if one.key == message.step), None)
        if step is None:
            if message.step not in acknowledgeable(workflow.steps):
                return None
            waits = row.status is RunStatus.WAITING
            waits = waits and opened_state(row, user, self._vault).acknowledged is None
            return Question(message, user, tenant, None, row, None, waits)
        answer = opened_answers(row, user, self._vault).get(step.key)
        waits = answer is None and row.status is RunStatus.WAITING and row.step == step.key
        waits = waits and self._clock.now() < opened_state(row, user, self._vault).due_at
        return Question(message, user, tenant, step, row, answer, waits)

    async def press_by_id(
        self,
        id_: str,
        channel: str,
        *,
        tenant: TenantId,
        user: UserNo | None = None,
        by: str = "",
        text: str = "",
    ) -> Pressed | None:
        """Press the button that was sent with this id, in a message of the tenant, and of the user where one is named.
        None: it is none of ours."""
        reference, _, button = id_.partition(".")
        about = self._references.read(reference)
        if about is None or about[0] != tenant:
            return None
        message = await self._records.get(*about)
        if message is None or user not in (None, message.user):
            return None
        question = await self.asked_in(message)
        if question is None:
            return None
        return await self.press(question, "" if text else button, channel, by=by, text=text)

    async def press(
        self, question: Question, button: str, channel: str, *, by: str = "", text: str = ""
    ) -> Pressed | None:
        """Press a button of a question; with a `text` and no button, the answer is in a person's own words. None: there is no
        such button."""
        step = question.step
        if step is None:
            if button != ACKNOWLEDGE:
                return None
            await self.acknowledge(question.run.tenant, question.run.id)
            return Pressed(question._replace(open=False), accepted=True)
        given = Given(OTHER, channel, text, by)
        if button:
            keys = list(step.options)
            place = int(button) if button.isascii() and button.isdecimal() and len(button) < 3 else len(keys)
            if place >= len(keys):
                return None
            given = Given(keys[place], channel, by=by)
        try:
            reply = await self.answer(question.run.tenant, question.run.id, given, step.key)
        except QuestionClosed:
            return Pressed(question._replace(open=False), accepted=False)
        if reply is None:
            return None
        accepted = reply.accepted or (reply.answer.answer, reply.answer.text) == (given.answer, given.text)
        return Pressed(question._replace(answer=reply.answer, open=False), accepted)

    # -- by words -------------------------------------------------------------------------------------------

    async def read(self, question: Question, text: str, channel: str, by: str = "") -> Pressed | None:
        """Take what somebody wrote as an answer, where it is one. None: it is none, or nobody waits for one."""
        if question.step is None or not question.open:
            return None
        option = option_in(question.step, text)
        if option is not None:
            return await self.press(question, str(list(question.step.options).index(option)), channel, by=by)
        if question.step.other and 0 < len(text.strip()) <= LONGEST_TEXT:
            return await self.press(question, "", channel, by=by, text=text.strip())
        return None

    async def asked_lately(self, tenant: TenantId, user: UserNo, channel: Channel) -> Question | None:
        """The newest question that a user was sent on a channel and has not answered."""
        where = MessageFilter(user=user, channels=frozenset({channel}))
        sent, _ = await self._records.page(tenant, where, None, LOOKED_AT)
        for message in sent:
            question = await self.asked_in(message)
            if question is not None and question.step is not None and question.open:
                return question
        return None

    # -- by receipts ----------------------------------------------------------------------------------------

    async def receive(self, receipts: Sequence[Receipt]) -> Sequence[bool]:
        """Stores receipts; what people acknowledged through the channel of a message, its run is before that."""
        for receipt in receipts:
            if receipt.kind is not ReceiptKind.ACKNOWLEDGED:
                continue
            message = await self._records.get(receipt.tenant, receipt.message_id)
            question = None if message is None else await self.asked_in(message)
            if message is not None and (question is None or question.step is None):
                run = run_id(message.event_id, message.workflow, message.user)
                with suppress(Conflict):
                    await self.acknowledge(receipt.tenant, run)
        return await self._receive(receipts)

    async def _known(self, row: RunRow) -> tuple[User | None, Workflow | None]:
        user = (await self._users.get([row.user])).get(row.user)
        workflow = await self._workflows.version(row.tenant, row.workflow, row.version)
        return None if user is None or user.unreadable else user, workflow

    async def _changed(self, row: RunRow, sent: Sequence[MessageId], why: Reason) -> RunRow | None:
        """None: the run has gone on meanwhile. Calls are stopped before the ledger is changed, so that what is canceled is
        never sent."""
        if terms.dry_running():
            begun = self._guard.begun(sent)
            return await self._runs.change(row, [one for one in sent if one not in begun], why)
        begun = self._guard.stop(sent)
        try:
            stored = await self._runs.change(row, [one for one in sent if one not in begun], why)
        except BaseException:
            self._guard.undo(sent)
            raise
        if stored is None:
            self._guard.undo(sent)
        return stored


def told(pressed: Pressed) -> str:
    """What came of it, in a sentence for whoever pressed it."""
    question = pressed.question
    words, said = words_for(*question.languages), question.said()
    if question.step is None:
        return words.acknowledged
    if not said:
        return words.closed
    return (words.saved if pressed.accepted else words.already).format(answer=said)


def _question(workflow: Workflow, row: RunRow, step: str) -> Step:
    """The one that is meant."""
    asks = {one.key: one for one in questions(workflow.steps)}
    if not asks:
        raise Conflict(f"The workflow {workflow.key!r} has no step that asks a question.")
    if step:
        if step not in asks:
            raise InvalidInput(
                f"the workflow {workflow.key!r} asks nothing in a step {step!r}. {nearest(step, asks)}",
                pointer="#/step",
            )
        return asks[step]
    if row.step in asks:
        return asks[row.step]
    if len(asks) > 1:
        raise InvalidInput("name the `step` whose question this answers.", pointer="#/step")
    return next(iter(asks.values()))


def _check(question: Step, given: Given) -> None:
    if given.answer in question.options:
        if given.text:
            raise InvalidInput(f"`text` goes with the answer `{OTHER}`.", pointer="#/text")
        return
    if not question.other or given.answer != OTHER:
        known = [*question.options, *([OTHER] if question.other else [])]
        detail = f"{given.answer!r} is no answer to this question. {nearest(given.answer, known)}"
        raise InvalidInput(detail, pointer="#/answer")
    if not given.text.strip() or len(given.text) > LONGEST_TEXT:
        raise InvalidInput(
            f"`{OTHER}` goes with a `text` of 1 to {LONGEST_TEXT:,} characters.", pointer="#/text"
        )
