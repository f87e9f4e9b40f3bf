"""Web pages for people."""

from clarion.dashboard.dependencies import DashboardParts
from clarion.dashboard.site import create

__all__ = ["DashboardParts", "create"]
