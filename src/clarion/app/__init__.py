"""The composition root. No logic, and nothing happens at import.

`resources` are opened first, `engine` and `http_app` are built on them, `process` says in which order and who ends
what, `server` gives it a port and listens to signals.
"""

from clarion.app.process import App
from clarion.app.resources import only_process
from clarion.app.server import listen, serve

__all__ = ["App", "listen", "only_process", "serve"]
