"""A store in another process on this machine, reached over a Unix socket."""

from clarion.adapters.ledgers.remote.client import RemoteStore
from clarion.adapters.ledgers.remote.server import serve

__all__ = ["RemoteStore", "serve"]
