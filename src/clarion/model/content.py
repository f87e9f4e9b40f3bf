"""Rendered, localised content, one type per channel."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from clarion.model.user import Value


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="channel"):
    """Base of the channel contents; tagged with the channel's name on the wire."""


class Attachment(Value, frozen=True, kw_only=True):
    """An attachment of an email: uploaded (`content`), or fetched when the mail is sent (`url`)."""

    name: str
    type: str = "application/octet-stream"
    content: bytes = b""
    url: str = ""
    inline_id: str = ""
    """Id for use in the HTML, as `cid:<inline_id>`."""


class Action(Value, frozen=True, kw_only=True):
    """A button."""

    label: str
    url: str = ""
    id: str | None = None
    """Of a button that answers the message, which is pressed by it. Set by Clarion."""


class Invitation(Value, frozen=True, kw_only=True):
    """A calendar invitation: a new meeting, a change or a cancellation."""

    uid: str
    """Id of the meeting. Use the same for later changes and for the cancellation."""
    start: str
    """A time with its offset (`2026-05-01T14:00:00+02:00`), or a day (`2026-05-01`)."""
    end: str = ""
    """Exclusive, so for days the first day after the meeting. Empty: one hour after the start, or the whole day."""
    summary: str = ""
    """Empty: the subject."""
    description: str = ""
    location: str = ""
    url: str = ""
    organizer: str = ""
    """Email address that receives the answers. Empty: the sender's."""
    organizer_name: str = ""
    method: Literal["request", "cancel"] = "request"
    sequence: int = 0
    """Greater with every change."""


MOST_BADGE = 2**31 - 1


class DeviceOptions(Value, frozen=True, kw_only=True):
    """How a phone shows a notification, or that it shows none. Names are those of APNs, written with underscores."""

    subtitle: str = ""
    title_loc_key: str = ""
    """Name of a text in the app, shown in place of `title`; `title_loc_args` fill its places."""
    title_loc_args: tuple[str, ...] = ()
    loc_key: str = ""
    """Name of a text in the app, shown in place of `body`; `loc_args` fill its places."""
    loc_args: tuple[str, ...] = ()
    badge: Annotated[int, msgspec.Meta(ge=0, le=MOST_BADGE)] | Literal["unread"] | None = None
    """The number at the app's icon; 0 removes it. `unread`: how many items of the inbox are unread when it is sent."""
    sound: str = ""
    """`default`, or a file in the app."""
    category: str = ""
    """Which buttons of the app are shown (APNs), or what a tap opens (`click_action` of Android)."""
    thread_id: str = ""
    """Notifications with the same one are shown together."""
    interruption_level: Literal["passive", "active", "time-sensitive", "critical"] | None = None
    relevance_score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    mutable_content: bool = False
    """The app may change it before it is shown, for example to fetch the image."""
    background: bool = False
    """Nothing is shown: the app is woken with `data`."""
    channel_id: str = ""
    """The notification channel of the app on Android."""


class LiveOptions(Value, frozen=True, kw_only=True):
    """How phones show a live resource, beside `title` and `body`."""

    attributes_type: str = ""
    """Name of the app's `ActivityAttributes`: a Live Activity can be started with it."""
    attributes: dict[str, Any] = {}
    """What does not change while the Live Activity lasts."""
    content_state: dict[str, Any] | None = None
    """What the Live Activity shows; null: the state of the live resource."""
    alert: bool = False
    """An update or the end of a Live Activity also lights up the screen, with `title` and `body`; its start always does."""
    progress: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """How far it is. With it, the app on Android shows the notification itself, as a progress notification."""
    segments: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = ()
    """Lengths of the parts of the progress bar."""
    points: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()
    """Places on the progress bar, in the unit of `segments`."""
    short_text: str = ""
    """A few characters for the status bar of Android."""


class EmailContent(Content, frozen=True, kw_only=True, tag="email"):
    """An email before MIME."""

    subject: str
    text: str = ""
    html: str = ""
    preheader: str = ""
    attachments: tuple[Attachment, ...] = ()
    calendar: Invitation | None = None
    """Sent as a `text/calendar` part and as the attachment `invite.ics`."""


class SmsContent(Content, frozen=True, kw_only=True, tag="sms"):
    """A text message, and what services that can do more show with it or instead of it."""

    text: str
    media: tuple[str, ...] = ()
    """Pictures and other files, by their links: with them it is an MMS."""
    rcs_template: str = ""
    """What the service calls a template for RCS."""
    rcs_parameters: tuple[str, ...] = ()
    """What stands in it for `{{1}}`, `{{2}}`, in order."""


class PushContent(Content, frozen=True, kw_only=True, tag="push"):
    """A device or browser notification."""

    title: str
    body: str = ""
    url: str = ""
    image: str = ""
    actions: tuple[Action, ...] = ()
    data: dict[str, Any] = {}
    device: DeviceOptions | None = None
    """Of phones only: browsers show the rest."""
    live: LiveOptions | None = None
    """Of live resources only: other messages do without."""


class InAppContent(Content, frozen=True, kw_only=True, tag="in_app"):
    """An inbox item."""

    title: str
    body: str = ""
    url: str = ""
    actions: tuple[Action, ...] = ()
    data: dict[str, Any] = {}


class ChatContent(Content, frozen=True, kw_only=True, tag="chat"):
    """A chat message."""

    text: str
    title: str = ""
    url: str = ""
    image: str = ""
    fields: dict[str, str] = {}
    """Short facts shown side by side, label to value."""
    actions: tuple[Action, ...] = ()


class WebhookContent(Content, frozen=True, kw_only=True, tag="webhook"):
    """A JSON document for a webhook endpoint."""

    type: str = ""
    body: str = "{}"


class VoiceContent(Content, frozen=True, kw_only=True, tag="voice"):
    """Words to be spoken in a call."""

    text: str = ""
    """What is said, in plain words; made from `ssml` where that is all there is."""
    ssml: str = ""
    """The same with marks for the voice: the inside of `<speak>` (SSML)."""
    acknowledge: str = ""
    """Asks, behind it, for a digit that says that the person has heard it. Empty: nothing is asked."""
    language: str = ""
    """Of the voice: `en-GB`."""


class WhatsAppContent(Content, frozen=True, kw_only=True, tag="whatsapp"):
    """A WhatsApp message: free text for whoever wrote within a day, an approved template for everybody else."""

    text: str = ""
    template: str = ""
    """Name of the template at WhatsApp."""
    language: str = ""
    """Of the template, as WhatsApp writes it: `en`, `pt_BR`."""
    header: str = ""
    """What stands in the template's header: a text, or the link of an image, a video or a document."""
    parameters: tuple[str, ...] = ()
    """What stands in its body for `{{1}}`, `{{2}}`, in order."""
    buttons: tuple[str, ...] = ()
    """For each of its buttons that takes one, in order: the end of the link, the code to copy, what a reply sends back."""
    actions: tuple[Action, ...] = ()
    """Buttons that answer the message. Set by Clarion."""


AnyContent = (
    EmailContent
    | SmsContent
    | PushContent
    | InAppContent
    | ChatContent
    | WebhookContent
    | VoiceContent
    | WhatsAppContent
)
