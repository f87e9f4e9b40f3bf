"""The workflow and the template that send one-time codes where a tenant has none of its own. They exist in code only."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.channel import Channel, Lane
from clarion.model.setup import SendFirst, Step, Template, Workflow

VERIFICATION = "~verification"
"""The key of the template, and what begins the keys of the workflows. Nothing a tenant sets up can be called so."""
SOURCE = "/clarion/verifications"
"""The source of every event that carries a one-time code, also for workflows of the tenant."""

_WORDS = {
    "en": ("Your code", "{code} is your code. It is valid for {minutes} minutes. Do not share it."),
    "de": ("Ihr Code", "{code} ist Ihr Code. Er gilt {minutes} Minuten. Geben Sie ihn nicht weiter."),
    "fr": ("Votre code", "{code} est votre code, valable {minutes} minutes. Ne le partagez pas."),
    "es": ("Su código", "{code} es su código. Es válido {minutes} minutos. No lo comparta."),
}
_CONFIRM_WORDS = {
    "en": ("Please confirm", "Please confirm that you want these messages: {url} Or enter {code}."),
    "de": (
        "Bitte bestätigen",
        "Bitte bestätigen Sie, dass Sie diese Nachrichten möchten: {url} Oder geben Sie {code} ein.",
    ),
    "fr": ("Veuillez confirmer", "Confirmez que vous souhaitez ces messages : {url} Ou saisissez {code}."),
    "es": ("Confirme, por favor", "Confirme que desea estos mensajes: {url} O introduzca {code}."),
}


def _either(asked: str, code: str) -> str:
    """One text where a consent is to be confirmed, another one for a code alone."""
    return f"{{% if data.confirm_url %}}{asked}{{% else %}}{code}{{% endif %}}"


_FIELDS = {"code": "{{ data.code }}", "minutes": "{{ data.minutes }}", "url": "{{ data.confirm_url }}"}
_TEXTS = {
    locale: (
        _either(_CONFIRM_WORDS[locale][0], title),
        _either(_CONFIRM_WORDS[locale][1].format(**_FIELDS), text.format(**_FIELDS)),
    )
    for locale, (title, text) in _WORDS.items()
}
TEMPLATE = Template(
    key=VERIFICATION,
    name="One-time code",
    version=1,
    channels={
        Channel.SMS: {locale: {"text": text} for locale, (_, text) in _TEXTS.items()},
        Channel.VOICE: {locale: {"text": text} for locale, (_, text) in _TEXTS.items()},
        Channel.EMAIL: {locale: {"subject": title, "text": text} for locale, (title, text) in _TEXTS.items()},
        Channel.PUSH: {locale: {"title": title, "body": text} for locale, (title, text) in _TEXTS.items()},
    },
    example_data={"code": "123456", "minutes": 10, "confirm_url": ""},
)
CHANNELS = tuple(TEMPLATE.channels)
"""Those that it can be sent on."""


def key_of(channels: Sequence[Channel]) -> str:
    """The key of the workflow that sends a code on the first of these channels that reaches its user."""
    return f"{VERIFICATION}:{'+'.join(channels)}"


def workflow_of(key: str) -> Workflow | None:
    """What such a key stands for; None: it is the key of another workflow."""
    prefix, _, names = key.partition(":")
    channels = tuple([channel for name in names.split("+") for channel in CHANNELS if channel == name])
    if prefix != VERIFICATION or not channels:
        return None
    return Workflow(
        key=key,
        name="One-time code",
        category="verification",
        lane=Lane.CRITICAL,
        steps=(Step(key="code", template=VERIFICATION, to=SendFirst(channels=channels)),),
    )
