"""Stands in for Google Pub/Sub: one subscription, as its REST API describes pulling, acknowledging and deadlines."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from itertools import count
from typing import Any

from clarion.testing.scripted_server import Answer, Received

PATH = "/v1/projects/tests/subscriptions/orders"


class Subscription:
    """Messages that were published; what is pulled and not acknowledged comes again when its deadline is over."""

    def __init__(self) -> None:
        self.waiting: dict[str, dict[str, Any]] = {}
        self.pulled: dict[str, str] = {}
        """By acknowledgement id, the message; its deadline has not come."""
        self._numbers = count(1)

    def publish(self, value: bytes, key: str, attributes: Mapping[str, str]) -> None:
        """Add a message."""
        number = str(next(self._numbers))
        self.waiting[number] = {
            "data": b64encode(value).decode(),
            "attributes": dict(attributes),
            "messageId": number,
            "publishTime": "2026-05-01T09:30:00.120Z",
            "orderingKey": key,
        }

    def answer(self, request: Received) -> Answer:
        """To a call of the API."""
        path, _, action = request.path.rpartition(":")
        if path != PATH:
            return Answer.json(404, {"error": {"status": "NOT_FOUND"}})
        asked = json.loads(request.body)
        if action == "pull":
            return Answer.json(200, self._pull(asked["maxMessages"]))
        for one in asked["ackIds"]:
            message = self.pulled.pop(one, None)
            if action == "acknowledge" and message is not None:
                self.waiting.pop(message, None)
        return Answer.json(200, {})

    def _pull(self, most: int) -> dict[str, Any]:
        free = [number for number in self.waiting if number not in self.pulled.values()][:most]
        found = []
        for number in free:
            ack = f"ack-{number}-{next(self._numbers)}"
            self.pulled[ack] = number
            found.append({"ackId": ack, "message": self.waiting[number]})
        return {"receivedMessages": found} if found else {}
