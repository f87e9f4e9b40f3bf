"""Who we are at Amazon, and how a queue of a tenant is reached."""

from __future__ import annotations

from urllib.parse import urlsplit

from clarion.adapters.aws import AwsSigner, Region, check_key_pair
from clarion.errors import ConfigError
from clarion.ports.provider import ProviderSettings, ProviderTools

SECRETS = frozenset({"secret_access_key"})


class AwsIdentity(ProviderSettings, frozen=True, kw_only=True):
    """Credentials; without them they are found as all tools of AWS do."""

    region: Region
    access_key_id: str = ""
    secret_access_key: str = ""

    def __post_init__(self) -> None:
        """Half a pair is refused."""
        check_key_pair(self.access_key_id, self.secret_access_key)

    def signer(self, service: str, tools: ProviderTools) -> AwsSigner:
        """Signs for a service. Raises ConfigError when the package that finds credentials is missing."""
        return AwsSigner(service, self.region, self.access_key_id, self.secret_access_key, tools.clock)


def origin(url: str, pointer: str) -> str:
    """Scheme and host of a URL."""
    place = urlsplit(url)
    if not place.netloc:
        raise ConfigError("a URL is needed", pointer=pointer)
    return f"{place.scheme}://{place.netloc}"
