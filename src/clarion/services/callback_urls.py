"""Where the callbacks of an integration arrive: a URL that only its provider is told."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from clarion.model.ids import TenantId
from clarion.model.lru import Lru
from clarion.ports.vault import Vault

PATH = "/v1/callbacks/"
TOKEN_CHARS = 27
_TENANT = 4
_PURPOSE = "callback-url"


class CallbackUrls:
    """Makes and reads them. The token is derived from the installation's key: nothing is stored."""

    def __init__(self, vault: Vault, base_url: str) -> None:
        self._vault = vault
        self._base = f"{base_url}{PATH}"
        self._made: Lru[tuple[TenantId, str], str] = Lru(10_000)

    def of(self, tenant: TenantId, integration: str) -> str:
        """The URL of an integration, always the same."""
        place = (tenant, integration)
        return self._made.get(place) or self._made.put(
            place, f"{self._base}{integration}/{self._token(tenant, integration)}"
        )

    def read(self, integration: str, token: str) -> TenantId | None:
        """Whose integration it is; None when we did not make the token for one of this name."""
        try:
            tenant = TenantId(int.from_bytes(urlsafe_b64decode(f"{token}=")[:_TENANT], "big"))
        except ValueError:
            return None
        genuine = self._token(tenant, integration)
        return tenant if hmac.compare_digest(token.encode(), genuine.encode()) else None

    def _token(self, tenant: TenantId, integration: str) -> str:
        number = tenant.to_bytes(_TENANT, "big")
        signed = self._vault.hash(_PURPOSE, number + integration.encode())
        return urlsafe_b64encode(number + signed).decode().rstrip("=")
