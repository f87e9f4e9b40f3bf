"""Where a RabbitMQ of a tenant is, and who we are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec

from clarion.adapters.extras import needs
from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.http.hosts import vetted
from clarion.errors import Unavailable
from clarion.ports.provider import ProviderSettings, ProviderTools

if TYPE_CHECKING:
    from clarion.adapters.rabbitmq import RabbitMqUrl

PORT, TLS_PORT = 5672, 5671
SECRETS = frozenset({"password"})


class RabbitMqServers(ProviderSettings, frozen=True, kw_only=True):
    """The nodes of a cluster, tried in turn."""

    servers: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A[^\s,:/@]+(:\d{1,5})?(,[^\s,:/@]+(:\d{1,5})?)*\Z",
            description="servers as host or host:port, with commas between them",
        ),
    ]
    vhost: str = "/"
    tls: bool = False
    username: str = "guest"
    password: str = "guest"  # noqa: S105 - what every new server has

    def address(self) -> RabbitMqUrl:
        """As the client takes it. Raises ConfigError when the package is missing."""
        with needs("rabbitmq", "RabbitMQ", pointer="#"):
            from clarion.adapters.rabbitmq import RabbitMqUrl
        nodes = [urlsplit(f"//{one}") for one in self.servers.split(",")]
        port = TLS_PORT if self.tls else PORT
        return RabbitMqUrl(
            nodes=tuple((node.hostname or "", node.port or port) for node in nodes),
            user=self.username,
            password=self.password,
            vhost=self.vhost,
            tls=self.tls,
        )


async def vet(address: RabbitMqUrl, tools: ProviderTools) -> None:
    """Refuse servers in networks that may not be reached."""
    guard = UrlGuard(tools.allowed_networks)
    for host, _ in address.nodes:
        try:
            await vetted(host, guard)
        except OSError:
            raise Unavailable(f"nobody knows the server {host}: check `servers`") from None
