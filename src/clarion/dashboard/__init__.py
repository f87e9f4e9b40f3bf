"""Web pages for people."""

from clarion.dashboard.parts import DashboardParts
from clarion.dashboard.site import create

__all__ = ["DashboardParts", "create"]
