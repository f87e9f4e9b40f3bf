"""The composition root. No logic, and nothing happens at import.

`ground` is opened first, `engine`, `services` and `edges` are built on it, `process` says in which order and who ends
what, `server` gives it a port and listens to signals.
"""

from clarion.app.ground import only_process
from clarion.app.process import App
from clarion.app.server import listen, serve

__all__ = ["App", "listen", "only_process", "serve"]
