"""Which Clarion a command talks to, and how its refusals read."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from clarion.cli.client import _problem, connect
from clarion.cli.exit_codes import Exit, for_status
from clarion.errors import ConfigError


def test_the_running_demo_is_found_by_its_file(tmp_path):
    """After `clarion dev` no address and no key need to be named."""
    (tmp_path / "dev.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "api_key": "clr_x"}))
    client = connect(None, None, tmp_path)
    assert (client.url, client._key) == ("http://127.0.0.1:1", "clr_x")


def test_a_named_address_wins(tmp_path):
    """Nobody sends to the demo by accident."""
    (tmp_path / "dev.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "api_key": "clr_x"}))
    client = connect("https://notify.example/", "clr_y", tmp_path)
    assert (client.url, client._key) == ("https://notify.example", "clr_y")


@pytest.mark.parametrize("content", [None, "", "{"])
def test_without_any_it_says_what_to_do(tmp_path, content):
    """Start one, or name one."""
    if content is not None:
        (tmp_path / "dev.json").write_text(content)
    with pytest.raises(ConfigError, match=r"clarion dev.*--url"):
        connect(None, None, tmp_path)


def test_a_key_of_the_demo_is_never_sent_to_another_address(tmp_path):
    """Naming only the address asks for the key as well."""
    (tmp_path / "dev.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "api_key": "clr_x"}))
    with pytest.raises(ConfigError, match="--api-key"):
        connect("https://notify.example", None, tmp_path)


def test_a_refusal_names_every_fault_with_its_place():
    """The same words the API says."""
    body = {
        "code": "invalid_request",
        "detail": "Two fields are wrong.",
        "errors": [{"pointer": "#/a", "detail": "too long"}, {"parameter": "limit", "detail": "too large"}],
    }
    error = _problem(400, json.dumps(body).encode(), None)
    assert (error.code, error.detail) == (
        "invalid_request",
        "Two fields are wrong.\n#/a: too long\nlimit: too large",
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Exit.REFUSED),
        (401, Exit.NOT_ALLOWED),
        (403, Exit.NOT_ALLOWED),
        (404, Exit.NOT_FOUND),
        (409, Exit.REFUSED),
        (422, Exit.REFUSED),
        (429, Exit.UNREACHABLE),
        (503, Exit.UNREACHABLE),
    ],
)
def test_a_status_has_its_exit_code(status, code):
    """So that a script can tell "later" from "never"."""
    assert for_status(status) is code


HEEDING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
from clarion.__main__ import main
main()
"""


def test_ctrl_c_ends_a_wait_for_an_answer_at_once():
    """`messages tail` waits most of its time; who stops it must not wait for the server."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        process = subprocess.Popen(
            [sys.executable, "-c", HEEDING, "messages", "tail"],
            env={
                **os.environ,
                "CLARION_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
                "CLARION_API_KEY": "clr_x",
            },
        )
        try:
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(4) == b"GET "
                process.send_signal(signal.SIGINT)
                assert process.wait(5) == 130
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("url", ["nope", "http://[", "ftp://x", "http://a:99999", "http://", "http://a b"])
def test_an_address_that_cannot_be_called_is_no_traceback(tmp_path, url):
    """It says where the address came from, and how one is written."""
    with pytest.raises(ConfigError, match=r"no address.*http://127\.0\.0\.1:8080.*CLARION_URL"):
        connect(url, "clr_x", tmp_path)


@pytest.mark.parametrize("key", ["clr_a\nb", "clr_\x00", "clé"])
def test_a_key_that_no_header_can_carry_is_no_traceback(tmp_path, key):
    """A line break copied along is the usual one; the key is not shown."""
    with pytest.raises(ConfigError, match="CLARION_API_KEY") as refused:
        connect("http://127.0.0.1:1", key, tmp_path)
    assert key not in str(refused.value)
