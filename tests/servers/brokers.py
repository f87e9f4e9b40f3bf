"""The URL of a broker of Clarion on each kind of server that tests have."""

from __future__ import annotations

import pytest

from tests.servers.elasticmq import ACCOUNT, REGION

BROKERS = ("kafka", "rabbitmq", "sqs", "nats", "redis")


def broker_url(request: pytest.FixtureRequest, kind: str, prefix: str) -> str:
    """On the server that all tests share; its topics, queues or streams begin with this."""
    server = request.getfixturevalue("elasticmq" if kind == "sqs" else kind)
    if kind == "kafka":
        return str(server.broker(prefix))
    if kind == "nats":
        return str(server.broker(prefix, "replicas=1&hold_s=5"))
    if kind == "sqs":
        where = f"127.0.0.1:{server.port}/{ACCOUNT}/{prefix}"
        return f"sqs://key:secret@{where}?tls=false&region={REGION}&hold_s=3"
    return f"{server.url}?prefix={prefix}" + ("&hold_s=3" if kind == "redis" else "")
