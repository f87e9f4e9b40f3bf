"""What people write to us, as a provider passes it on."""

from __future__ import annotations

import msgspec

from clarion.model.ids import Instant


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a person's: a text message, a chat."""

    provider_id: str
    """The provider's name for it: the same when it is passed on again."""
    sender: str
    """The address of the person."""
    recipient: str
    """The address of ours that they wrote to."""
    text: str
    at: Instant | None = None
    """When it was written; None: the provider does not say."""
    media: tuple[str, ...] = ()
    """URLs of what was sent along."""
    reference: str = ""
    """Of the message that they answered, where the provider says so."""
