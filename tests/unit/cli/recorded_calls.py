"""A server that answers every command alike and keeps what it was asked."""

from __future__ import annotations

from typing import Any


class RecordedCalls:
    """Stands for `clarion.cli.client.Client`."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.calls: list[tuple] = []
        self._answer = answer

    def call(self, method, path, body=None, headers=None):
        self.calls.append((method, path, body, headers))
        return self._answer

    def get(self, path):
        self.calls.append(("GET", path))
        return self._answer

    def pages(self, path, limit, **where):
        self.calls.append(("GET", path, where))
        return [self._answer]
