"""Finding out what a submission means: its workflows, and who is to hear about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from clarion.errors import InvalidInput, NotFound
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Workflow
from clarion.model.submission import Recipient, Submission
from clarion.model.user import Contact, Profile
from clarion.rules import match, people

MAX_RECIPIENTS = 1_000
"""Explicit recipients of one event; use a topic for more."""

_JSON = msgspec.json.Decoder()


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A submission with its workflows and recipients found."""

    submission: Submission
    workflows: tuple[Workflow, ...]
    recipients: tuple[str | Recipient, ...]


def user_ids(recipients: Iterable[str | Recipient]) -> list[str]:
    """The user ids among recipients, without repeats, in order."""
    seen: dict[str, None] = {}
    for recipient in recipients:
        if isinstance(recipient, str):
            seen[recipient] = None
        elif recipient.user_id is not None:
            seen[recipient.user_id] = None
    return list(seen)


def topics(recipients: Iterable[str | Recipient]) -> tuple[str, ...]:
    """The topic keys among recipients, without repeats, in order."""
    return tuple(dict.fromkeys(r.topic for r in recipients if not isinstance(r, str) and r.topic is not None))


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


def resolve(workflows: Mapping[str, Workflow], submission: Submission, now: Instant) -> Resolved:
    """Find the workflows and recipients; raises InvalidInput or NotFound naming the field."""
    if submission.expires_at is not None and submission.expires_at <= now:
        raise InvalidInput("expires_at has already passed: send a later time.", pointer="#/expires_at")
    if submission.workflow is not None:
        workflow = workflows.get(submission.workflow)
        if workflow is None:
            raise NotFound(
                f"There is no workflow {submission.workflow!r}. "
                f"{match.nearest(submission.workflow, workflows)}",
                pointer="#/workflow",
            )
        found: tuple[Workflow, ...] = (workflow,)
    else:
        found = tuple(
            w for w in workflows.values() if w.on is not None and match.matches(w.on.type, submission.type)
        )
    recipients = submission.recipients
    if not recipients and found and submission.workflow is None:
        recipients = _event_recipients(submission, found[0])
    if found and not recipients:
        raise InvalidInput(
            "No recipients: name at least one user or topic (for a CloudEvent: its subject, or the "
            "workflow's recipients pointer into data).",
            pointer="#/recipients",
        )
    if len(recipients) > MAX_RECIPIENTS:
        raise InvalidInput(
            f"At most {MAX_RECIPIENTS} recipients in one event; use a topic for more.", pointer="#/recipients"
        )
    return Resolved(submission=submission, workflows=found, recipients=recipients)


def _event_recipients(submission: Submission, workflow: Workflow) -> tuple[str | Recipient, ...]:
    """Recipients of a CloudEvent: where the workflow's pointer leads in data, else the subject."""
    pointer = workflow.on.recipients if workflow.on is not None else ""
    if not pointer:
        if submission.subject:
            people.check_user_id(submission.subject, "#/subject")
        return (submission.subject,) if submission.subject else ()
    found: Any = match.resolve(_JSON.decode(submission.data), pointer)
    if found is match.MISSING or found is None:
        return ()
    place = f"#/data{pointer}"
    try:
        named = msgspec.convert(found if isinstance(found, list) else [found], list[str | Recipient])
    except msgspec.ValidationError as wrong:
        raise InvalidInput(
            f"data{pointer} must hold a user id, a recipient object, or a list of them: {wrong}.",
            pointer=place,
        ) from None
    for index, recipient in enumerate(named):
        people.check_recipient(recipient, f"{place}/{index}" if isinstance(found, list) else place)
    return tuple(named)
