"""Huawei's token endpoint for tests: takes what the client credentials grant asks (RFC 6749, section 4.4)."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

ACCESS_TOKEN = "CF3Xl2XV6jMKccUIaDg=="


class TokenServer:
    """Listens on a port of its own for as long as the process lives, unless it is closed."""

    def __init__(self, client_id: str, client_secret: str) -> None:
        wanted = {
            "grant_type": ["client_credentials"],
            "client_id": [client_id],
            "client_secret": [client_secret],
        }

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                right = form == wanted
                answer: dict[str, Any] = (
                    {"access_token": ACCESS_TOKEN, "expires_in": 3600, "token_type": "Bearer"}
                    if right
                    else {"error": 1101, "sub_error": 20173, "error_description": "invalid client_secret"}
                )
                body = json.dumps(answer).encode()
                self.send_response(200 if right else 400)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/oauth2/v3/token"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()
