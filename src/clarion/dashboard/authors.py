"""What the addresses for authors answer: the list of templates, and the editor of one."""

from __future__ import annotations

from clarion.dashboard.routing import Routes

route = Routes()
