"""What the how-to tells receivers to do verifies what is sent, in Python and in JavaScript, and nothing else."""

import json
import os
import re
import subprocess
import time
from base64 import b64encode
from pathlib import Path

import pytest

from clarion.adapters.providers.webhook import payload
from clarion.adapters.system import SystemRandom
from clarion.adapters.webhook_signature import signature
from clarion.model.content import WebhookContent
from clarion.model.ids import Instant
from tests.needs import NPM, require_npm

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "send-webhooks.md"
BODY = payload(
    WebhookContent(type="order.shipped", body='{"order": "C-2041, ünïcode"}'), Instant(1767614400000)
)
EVENT = {
    "type": "order.shipped",
    "timestamp": "2026-01-05T12:00:00.000Z",
    "data": {"order": "C-2041, ünïcode"},
}
NEW, OLD, OTHER = ("whsec_" + b64encode(SystemRandom().bytes(32)).decode() for _ in range(3))

CALL = """
const {secret, headers, body} = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(receive(secret, headers, Buffer.from(body, 'base64').toString())));
"""


def sent(age_s: int = 0) -> dict[str, str]:
    """Headers while a secret is being replaced."""
    at = int(time.time()) - age_s
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": signature([NEW, OLD], "msg_1", at, BODY),
    }


def blocks(language: str) -> list[str]:
    """The code of the page."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found


def in_python(code: str):
    """The receiver a block defines."""
    defined: dict = {}
    exec(code, defined)
    return defined["receive"]


def in_javascript(code: str):
    """The same, in Node."""
    require_npm("standardwebhooks", "a Standard Webhooks library that is not ours")

    def receive(secret: str, headers: dict[str, str], body: bytes) -> dict:
        asked = {"secret": secret, "headers": headers, "body": b64encode(body).decode()}
        done = subprocess.run(
            ["node", "-e", code + CALL],
            input=json.dumps(asked),
            env={**os.environ, "NODE_PATH": str(NPM)},
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )
        if done.returncode:
            raise ValueError(done.stderr)
        said: dict = json.loads(done.stdout)
        return said

    return receive


RECEIVERS = [
    *[pytest.param(in_python, code, id=f"python-{n}") for n, code in enumerate(blocks("python"))],
    *[pytest.param(in_javascript, code, id=f"javascript-{n}") for n, code in enumerate(blocks("javascript"))],
]


@pytest.mark.parametrize(("receiver", "code"), RECEIVERS)
def test_a_receiver_takes_what_was_sent(receiver, code):
    """With the new secret and, until it is over, with the old one."""
    receive = receiver(code)
    assert receive(NEW, sent(), BODY) == EVENT
    assert receive(OLD, sent(), BODY) == EVENT


@pytest.mark.parametrize(("receiver", "code"), RECEIVERS)
def test_a_receiver_takes_nothing_else(receiver, code):
    """Another secret, another body, another id, another time."""
    receive = receiver(code)
    for secret, headers, body in (
        (OTHER, sent(), BODY),
        (NEW, sent(), BODY.replace(b"2041", b"2042")),
        (NEW, sent() | {"webhook-id": "msg_2"}, BODY),
        (NEW, sent(age_s=600), BODY),
    ):
        with pytest.raises(Exception, match=r"(?i)signature|signed|too old"):
            receive(secret, headers, body)
