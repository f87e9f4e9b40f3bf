"""Scripted providers for an engine, one for each integration."""

from __future__ import annotations

from typing import Any

import msgspec

from clarion.model.channel import Channel
from clarion.model.setup import Integration
from clarion.ports.provider import ProviderPlugin
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine


class SeveralProviders:
    """Takes the place of the one provider of an engine: integrations are told apart by their keys."""

    def __init__(self, **by_key: RecordingProvider) -> None:
        self.by_key = by_key

    def plugin(self) -> ProviderPlugin:
        """The plug-in `recording`, whose integrations each have a provider of their own."""
        first = next(iter(self.by_key.values()), RecordingProvider())
        return msgspec.structs.replace(
            first.plugin(), open=lambda integration, config, tools: self.by_key[integration.key]
        )

    async def create_integrations(self, clarion: Engine, channel: Channel = Channel.SMS, **more: Any) -> None:
        """One for each provider, and none else on this channel."""
        shelf = clarion.ledger.setup.integrations
        for key, one in list(shelf.all(clarion.tenant).items()):
            if one.channel is channel:
                await shelf.delete(clarion.tenant, key)
        for key in self.by_key:
            await shelf.put(
                clarion.tenant, Integration(key=key, channel=channel, provider="recording", **more)
            )
