"""The port that a process listens on."""

from __future__ import annotations

import os
import socket

from clarion.errors import ConfigError


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigError when the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as refused:
        listener.close()
        raise ConfigError(
            f"Cannot listen on {host} port {port}: {os.strerror(refused.errno or 0).lower()}. "
            f"Stop what uses it, or choose another port, e.g. --port {port + 1 if 0 < port < 65_535 else 8081}."
        ) from None
    listener.listen(4096)
    listener.setblocking(False)
    return listener
