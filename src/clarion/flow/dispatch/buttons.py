"""Gives messages the buttons of their step: the answers to its question, or the acknowledgement that ends what repeats it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from clarion.content.button_words import words_for
from clarion.content.buttons import ACKNOWLEDGE, labels_of, with_buttons
from clarion.flow.lanes import InFlight
from clarion.flow.setup_view import SetupView
from clarion.model.content import Action, AnyContent
from clarion.model.ids import TenantId
from clarion.model.lru import Lru
from clarion.model.message import Message
from clarion.model.setup import Step, Workflow
from clarion.rules.places import locale
from clarion.rules.steps.ask import questions
from clarion.rules.steps.repeat import acknowledgeable

KEPT = 1_024
"""Versions of workflows whose steps with buttons are remembered."""

ResponseUrl = Callable[[Message, str], str]
"""Where somebody presses a button of a message, or any of them where none is named; empty: there are no links."""


class MessageButtons:
    """Adds buttons to contents."""

    def __init__(
        self, setup: SetupView, reference: Callable[[Message], str], response_url: ResponseUrl
    ) -> None:
        self._setup = setup
        self._reference = reference
        self._response_url = response_url
        self._steps: Lru[tuple[TenantId, str, int], Mapping[str, Step | None]] = Lru(KEPT)

    async def prepare(self, batch: Iterable[InFlight]) -> None:
        """Waits only for versions of workflows that were replaced since."""
        for in_flight in batch:
            message = in_flight.message
            place = _place(message)
            if self._steps.get(place) is None:
                live = self._setup.workflows.all(message.tenant).get(message.workflow)
                if live is None or live.version != message.workflow_version:
                    live = await self._setup.workflows.version(*place)
                self._steps.put(place, {} if live is None else with_buttons_of(live))

    def on(self, content: AnyContent, in_flight: InFlight) -> AnyContent:
        """The content of a prepared message with its buttons."""
        message = in_flight.message
        steps = self._steps.get(_place(message))
        if not steps or message.step not in steps:
            return content
        question = steps[message.step]
        tenant = self._setup.tenants.all()[message.tenant]
        spoken = (locale(in_flight.user.profile, tenant)[0], tenant.locale)
        buttons = [ACKNOWLEDGE] if question is None else [str(at) for at in range(len(question.options))]
        reference = self._reference(message)
        actions = [
            Action(label=label, url=self._response_url(message, button), id=f"{reference}.{button}")
            for button, label in zip(buttons, labels_of(question, *spoken), strict=True)
        ]
        page = self._response_url(message, "")
        return with_buttons(content, actions, page, words_for(*spoken), asks=question is not None)


def with_buttons_of(workflow: Workflow) -> Mapping[str, Step | None]:
    """The steps whose messages have buttons: those that ask, and None for those that are to be acknowledged."""
    return {
        **dict.fromkeys(acknowledgeable(workflow.steps)),
        **{step.key: step for step in questions(workflow.steps)},
    }


def _place(message: Message) -> tuple[TenantId, str, int]:
    return message.tenant, message.workflow, message.workflow_version
