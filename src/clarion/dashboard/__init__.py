"""Web pages for people who operate Clarion."""

from clarion.dashboard.dependencies import DashboardParts
from clarion.dashboard.site import create

__all__ = ["DashboardParts", "create"]
