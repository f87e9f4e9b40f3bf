"""Google's token endpoint for tests: takes what service accounts sign, as PyJWT checks it (RFC 7523)."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from clarion.plugins import providers

GOOGLE = "https://oauth2.googleapis.com/token"
"""Whom Google's own library addresses, wherever it sends it."""
ACCESS_TOKEN = "ya29.c.b0Aaekm1K"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


def service_account(token_url: str) -> str:
    """The contents of a key file that asks for tokens there."""
    account = json.loads(providers()["fcm"].example["service_account"])
    return json.dumps({**account, "token_uri": f"{token_url}/token"})


class TokenServer:
    """Listens on a port of its own for as long as the process lives, unless it is closed."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        """The claims of every assertion that was right."""
        asked = self.asked
        account = json.loads(service_account(""))
        key = load_pem_private_key(account["private_key"].encode(), None)
        assert isinstance(key, RSAPrivateKey)
        public = key.public_key()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                answer: dict[str, Any] = {
                    "access_token": ACCESS_TOKEN,
                    "expires_in": 3599,
                    "token_type": "Bearer",
                }
                status = 200
                try:
                    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
                    (assertion,) = form["assertion"]
                    asked.append(
                        jwt.decode(
                            assertion,
                            public,
                            algorithms=["RS256"],
                            audience=(f"http://{self.headers['host']}/token", GOOGLE),
                            issuer=account["client_email"],
                            options={"verify_exp": False, "verify_iat": False},
                        )
                    )
                    assert jwt.get_unverified_header(assertion)["kid"] == account["private_key_id"]
                except (AssertionError, KeyError, ValueError, jwt.PyJWTError):
                    answer, status = {"error": "invalid_grant"}, 400
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()
