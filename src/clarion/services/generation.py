"""Has words written by a language model, and keeps none that say more than it was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.content.templates.schema import Schema
from clarion.model.ids import TenantId
from clarion.model.run import CallResult, StepCall
from clarion.model.status import Reason
from clarion.rules.generated import invented
from clarion.rules.masking import UnknownPlaceholder, unmasked
from clarion.services.connections import ConnectionService


class GenerationService:
    """Any service with the chat completions of OpenAI."""

    def __init__(self, connections: ConnectionService) -> None:
        self._connections = connections

    async def generate(self, tenant: TenantId, call: StepCall) -> CallResult:
        """What was written, checked."""
        answered = await self._connections.fetch(tenant, call)
        if answered.reason is not None or answered.again_at is not None:
            return replace(answered, output={})
        answer = answered.output["body"]
        told = {**answered.told, "tokens": answer["tokens"]}
        try:
            value = _checked(call.request, answer)
        except _Refused as why:
            return CallResult(reason=Reason.FETCH_FAILED, told={**told, "error": str(why)})
        return CallResult(output={"value": value}, told=told)


class _Refused(Exception):
    """What was written is not used."""


def _checked(request: Mapping[str, Any], answer: Mapping[str, Any]) -> Any:
    """Raises _Refused, without a word of what was written."""
    if not answer["whole"]:
        raise _Refused("what was written breaks off")
    try:
        written = msgspec.json.decode(answer["text"], type=dict[str, Any])
    except (msgspec.DecodeError, TypeError, RecursionError):
        raise _Refused("what was written is no JSON object") from None
    if written.get("sure") is not True:
        raise _Refused("the model was not sure")
    value = written.get("answer")
    size = len(msgspec.json.encode(value))
    if wrong := Schema(dict(request["schema"])).mismatches(value, size):
        raise _Refused(
            f"what was written does not satisfy `output`{wrong[0].pointer and ' at '}{wrong[0].pointer}"
        )
    if (what := invented(value, request["given"])) is not None:
        raise _Refused(f"what was written has {what} that the input does not have")
    try:
        return unmasked(value, request["names"])
    except UnknownPlaceholder:
        raise _Refused("what was written has a placeholder that stands for nothing") from None
