"""What a step of a workflow does, in a few words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.model.setup import SendAll, SendFirst, SendLadder, Step, StepType
from clarion.rules.steps.digest import PREFERENCE
from clarion.rules.steps.kinds import KINDS

UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))

To = SendAll | SendFirst | SendLadder


def duration(seconds: int) -> str:
    """Such as `1 day 2 hours`: as long as it takes to say it exactly."""
    said = []
    for size, name in UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            said.append(f"{count} {name}" if count == 1 else f"{count} {name}s")
    return " ".join(said) or "no time"


def words(step: Step) -> str:
    """What it does. A type that is newer than this page is told by its own fields."""
    told = _WORDS.get(step.type)
    return told(step) if told is not None else ", ".join(_fields(step))


def _channels(to: To | None) -> str:
    """Over which channels, and how they follow one another."""
    if to is None:
        return ""
    if isinstance(to, SendLadder):
        return " then ".join(CHANNEL_NAMES[one.channel] for one in to.channels)
    joint = " or " if isinstance(to, SendFirst) else ", "
    return joint.join(CHANNEL_NAMES[one] for one in to.channels)


def _send(step: Step) -> str:
    return f"{step.template} by {_channels(step.to)}"


def _ask(step: Step) -> str:
    return f"{_send(step)}: {' or '.join(step.options)}"


def _wait(step: Step) -> str:
    if step.event is not None:
        return f"until {step.event.type} comes"
    if step.for_s:
        return f"for {duration(step.for_s)}"
    return f"until {step.until}" if step.until else f"for {step.for_}"


def _digest(step: Step) -> str:
    what = f"by {step.by}" if step.by else "everything"
    if step.at is not None:
        said = f"{what} until {'the user wants it' if step.at == PREFERENCE else step.at}"
    else:
        said = f"{what} for {duration(step.window_s or 0)}"
    if step.max_s is not None:
        said = f"{said}, up to {duration(step.max_s)}"
    return f"{said}, not closed in quiet hours" if step.through_quiet_hours else said


def _experiment(step: Step) -> str:
    whole = sum(step.arms.values()) or 1
    return ", ".join(f"{name} {weight / whole:.0%}" for name, weight in step.arms.items())


def _branch(step: Step) -> str:
    return "the first case that is true" if len(step.cases) > 1 else "if this is true"


def _repeat(step: Step) -> str:
    return f"every {duration(step.every_s or 0)}, at most {step.at_most} times, until {step.until}"


def _update_user(step: Step) -> str:
    said = [
        *(f"{name} = {value}" for name, value in step.set_.items()),
        *(f"no {name}" for name in step.unset),
    ]
    return ", ".join(said)


def _trigger(step: Step) -> str:
    return step.workflow or "" if step.recipients is None else f"{step.workflow} for {step.recipients}"


def _fetch(step: Step) -> str:
    return f"{step.method.upper()} {step.path} of {step.connection}"


def _generate(step: Step) -> str:
    return f"{step.model} of {step.connection} writes"


def _fields(step: Step) -> Iterator[str]:
    for name in KINDS[step.type].fields:
        value = getattr(step, name)
        if value not in (None, (), {}):
            yield f"{name.removesuffix('_s').replace('_', ' ')} {value}"


_WORDS: Mapping[StepType, Callable[[Step], str]] = {
    StepType.SEND: _send,
    StepType.ASK: _ask,
    StepType.WAIT: _wait,
    StepType.EXPERIMENT: _experiment,
    StepType.BRANCH: _branch,
    StepType.REPEAT: _repeat,
    StepType.DIGEST: _digest,
    StepType.UPDATE_USER: _update_user,
    StepType.TRIGGER: _trigger,
    StepType.FETCH: _fetch,
    StepType.GENERATE: _generate,
}
