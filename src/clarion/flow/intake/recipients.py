"""Resolves a submission to its workflows and recipients."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from clarion.errors import InvalidInput, NotFound, UnknownName
from clarion.model.channel import Channel
from clarion.model.event import Group, grouped
from clarion.model.ids import Instant
from clarion.model.lru import Lru
from clarion.model.setup import Workflow
from clarion.model.submission import Recipient, Submission
from clarion.model.user import Contact, Profile
from clarion.rules import match, out_events, schedule, validation
from clarion.rules.endpoints import TENANT_USER

MAX_RECIPIENTS = 1_000
"""Explicit recipients of one event; use a topic or a segment for more."""
CREATE_USER = 'Create the user first, or name them as {"user_id": ..., "create": true}.'
CREATE_SEGMENT = "Create the segment first: PUT /v1/segments/{key}."
CREATE_OBJECT = "Create the object first: PUT /v1/objects/{type}/{object_id}."
CREATE_TOPIC = "Create the topic first: PUT /v1/topics/{key}."
TYPES_KEPT = 1_000
"""Types of events whose listeners are remembered."""

_JSON = msgspec.json.Decoder()


class WorkflowTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """One workflow that a submission starts, and for whom."""

    workflow: Workflow
    users: tuple[str, ...]
    """User ids, each once."""
    topics: tuple[str, ...] = ()
    """Topic keys, also those of objects, each once."""
    segments: tuple[str, ...] = ()
    """Segment keys, each once."""
    inline: tuple[Recipient, ...] = ()
    """Users that came with fields to be kept."""
    creates: frozenset[str] = frozenset()
    """Users to be created when there are none."""
    recipients: Sequence[str | Recipient] = ()
    """As they were named."""
    place: str
    """JSON pointer of the recipients, or of the only one when they are not `listed`."""
    listed: bool

    @staticmethod
    def of(
        workflow: Workflow, recipients: Sequence[str | Recipient], place: str, *, listed: bool
    ) -> WorkflowTrigger:
        """Sort out recipients."""
        if len(recipients) == 1 and isinstance(recipients[0], str):
            return WorkflowTrigger(
                workflow=workflow, users=(recipients[0],), recipients=recipients, place=place, listed=listed
            )
        inline = tuple(r for r in recipients if not isinstance(r, str) and r.user_id is not None)
        named = (r if isinstance(r, str) else r.user_id for r in recipients)
        topics = (r.topic_key for r in recipients if not isinstance(r, str) and r.topic_key is not None)
        segments = (r.segment for r in recipients if not isinstance(r, str) and r.segment is not None)
        return WorkflowTrigger(
            workflow=workflow,
            users=tuple(dict.fromkeys(name for name in named if name is not None)),
            topics=tuple(dict.fromkeys(topics)),
            segments=tuple(dict.fromkeys(segments)),
            inline=inline,
            creates=frozenset([one.user_id or "" for one in inline if one.create]),
            recipients=recipients,
            place=place,
            listed=listed,
        )

    @property
    def has_groups(self) -> bool:
        """Whether it goes to more than the users it names."""
        return bool(self.topics or self.segments)

    @property
    def groups(self) -> tuple[Group, ...]:
        """All it goes to."""
        return grouped(self.topics, self.segments)

    def placed_inline(self) -> Iterator[tuple[Recipient, str]]:
        """Users that came with attributes, and the JSON pointers of these."""
        for index, one in enumerate(self.recipients if self.inline else ()):
            if not isinstance(one, str) and one.attributes:
                yield one, f"{self.place}/{index}/attributes" if self.listed else f"{self.place}/attributes"

    def unknown(
        self, users: Collection[str], topics: Collection[str], segments: Collection[str]
    ) -> Iterator[UnknownName]:
        """The recipients that neither exist nor are to be created, with their places."""
        for index, one in enumerate(self.recipients):
            place = f"{self.place}/{index}" if self.listed else self.place
            named = Recipient(user_id=one) if isinstance(one, str) else one
            user_id, topic, segment = named.user_id, named.topic, named.segment
            if topic is not None and topic not in topics:
                yield UnknownName("topic", topic, f"{place}/topic", CREATE_TOPIC)
            if named.object is not None and named.object.key not in topics:
                yield UnknownName("object", str(named.object), f"{place}/object", CREATE_OBJECT)
            if segment is not None and segment not in segments:
                near = match.closest(segment, segments)
                yield UnknownName("segment", segment, f"{place}/segment", CREATE_SEGMENT, near)
            if user_id is None or user_id not in self.users:
                continue  # or at home in another region
            if user_id in users or user_id in self.creates or user_id == TENANT_USER:
                continue
            yield UnknownName(
                "user", user_id, place if isinstance(one, str) else f"{place}/user_id", CREATE_USER
            )


def merged_profile(profile: Profile, inline: Recipient) -> Profile:
    """The profile with what the caller sent along; the same object when nothing changes."""
    contacts = list(profile.contacts)
    for channel, address in ((Channel.EMAIL, inline.email), (Channel.SMS, inline.phone)):
        if address is not None and not any(c.channel is channel and c.address == address for c in contacts):
            contacts = [c for c in contacts if c.channel is not channel]
            contacts.append(Contact(channel=channel, address=address))
    merged = Profile(
        contacts=tuple(contacts),
        attributes={**profile.attributes, **inline.attributes} if inline.attributes else profile.attributes,
        locale=inline.locale if inline.locale is not None else profile.locale,
        timezone=inline.timezone if inline.timezone is not None else profile.timezone,
        preferences=profile.preferences,
    )
    return profile if merged == profile else merged


class WorkflowIndex:
    """The workflows of a tenant, and which of them listen to a type of event."""

    __slots__ = ("_by_type", "workflows")

    def __init__(self, workflows: Mapping[str, Workflow]) -> None:
        self.workflows = workflows
        self._by_type: Lru[str, tuple[Workflow, ...]] = Lru(TYPES_KEPT)

    def to(self, type: str) -> tuple[Workflow, ...]:
        """Those that events of this type start; remembered, because the same few types come again and again. What becomes of
        messages and users starts none: it would go on for ever."""
        if type in out_events.TYPES:
            return ()
        found = self._by_type.get(type)
        if found is None:
            listening = (
                workflow
                for workflow in self.workflows.values()
                if workflow.on is not None and match.matches(workflow.on.type, type)
            )
            found = self._by_type.put(type, tuple(listening))
        return found


def resolve(listeners: WorkflowIndex, submission: Submission, now: Instant) -> tuple[WorkflowTrigger, ...]:
    """What a submission starts; nothing when no workflow matches. Raises InvalidInput or NotFound with the field."""
    if submission.expires_at is not None and submission.expires_at <= now:
        raise InvalidInput("expires_at has already passed: send a later time.", pointer="#/expires_at")
    schedule.send_at(submission, now)
    if submission.workflow is not None:
        workflow = listeners.workflows.get(submission.workflow)
        if workflow is None:
            raise NotFound(
                f"There is no workflow {submission.workflow!r}. "
                f"{match.nearest(submission.workflow, listeners.workflows)}",
                pointer="#/workflow",
            )
        return (_target(workflow, submission.recipients),)
    return tuple(
        [
            _target(workflow, submission.recipients)
            if submission.recipients
            else _event_target(workflow, submission)
            for workflow in listeners.to(submission.type)
        ]
    )


def _target(
    workflow: Workflow,
    recipients: Sequence[str | Recipient],
    place: str = "#/recipients",
    *,
    listed: bool = True,
) -> WorkflowTrigger:
    if not recipients:
        raise InvalidInput(
            "No recipients: name at least one user, topic, segment or object (for a CloudEvent: its subject, or the "
            "workflow's recipients pointer into data).",
            pointer="#/recipients",
        )
    if len(recipients) > MAX_RECIPIENTS:
        raise InvalidInput(
            f"At most {MAX_RECIPIENTS} recipients in one event; use a topic or a segment for more.",
            pointer="#/recipients",
        )
    return WorkflowTrigger.of(workflow, recipients, place, listed=listed)


def _event_target(workflow: Workflow, submission: Submission) -> WorkflowTrigger:
    """For a CloudEvent that names no recipients itself: the workflow says where they stand."""
    recipients, place, listed = _event_recipients(submission, workflow)
    target = _target(workflow, recipients, place, listed=listed)
    if workflow.on is None or not workflow.on.create:
        return target
    return msgspec.structs.replace(target, creates=frozenset(target.users))


def _event_recipients(
    submission: Submission, workflow: Workflow
) -> tuple[Sequence[str | Recipient], str, bool]:
    """Where the workflow's pointer leads in data, else the subject; the place, and whether it is a list."""
    pointer = workflow.on.recipients if workflow.on is not None else None
    if not pointer:
        if submission.subject:
            validation.check_user_id(submission.subject, "#/subject")
        return (submission.subject,) if submission.subject else (), "#/subject", False
    place = f"#/data{pointer}"
    found: Any = match.resolve(_JSON.decode(submission.data), pointer)
    if found is match.MISSING or found is None:
        return (), place, False
    try:
        named = msgspec.convert(found if isinstance(found, list) else [found], list[str | Recipient])
    except msgspec.ValidationError as wrong:
        raise InvalidInput(
            f"data{pointer} must hold a user id, a recipient object, or a list of them: {wrong}.",
            pointer=place,
        ) from None
    for index, recipient in enumerate(named):
        validation.check_recipient(recipient, f"{place}/{index}" if isinstance(found, list) else place)
    return named, place, isinstance(found, list)
