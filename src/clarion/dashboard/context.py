"""What every page uses: the services of Clarion, and the demo data."""

from __future__ import annotations

from pathlib import Path

import msgspec

from clarion.dashboard.dependencies import DashboardParts
from clarion.dashboard.previews import PreviewFrames
from clarion.errors import Unavailable
from clarion.model.ids import TenantId


class DevFile(msgspec.Struct, frozen=True):
    """What `clarion dev` wrote for scripts, and for this page."""

    url: str
    api_key: str
    tenant: str


class Site:
    """Handed to the function of every address."""

    def __init__(self, parts: DashboardParts) -> None:
        self.parts = parts
        self.frames = PreviewFrames()

    def dev(self) -> DevFile:
        """The running demo. Raises Unavailable in the moment before it is ready."""
        try:
            return msgspec.json.decode(_content(self.parts.dev_file), type=DevFile)
        except (OSError, msgspec.MsgspecError):
            raise Unavailable("The demo is being prepared: reload this page in a second.") from None

    def tenant(self) -> TenantId:
        """The demo tenant."""
        key = self.dev().tenant
        for tenant in self.parts.ledger.setup.tenants.all().values():
            if tenant.key == key:
                return tenant.id
        raise Unavailable("The demo is being prepared: reload this page in a second.")


def _content(path: Path) -> bytes:
    return path.read_bytes()
