"""A store in another process on this machine, reached over a socket."""

from clarion.adapters.ledgers.remote.client import RemoteStore, at
from clarion.adapters.ledgers.remote.server import answer, serve

__all__ = ["RemoteStore", "answer", "at", "serve"]
