"""Where the settings of an integration lead, for the guard to look at."""

from typing import Any

import pytest

from clarion import plugins
from clarion.flow.dispatch.destinations import destinations

INSTALLED = plugins.providers()


@pytest.mark.parametrize(
    ("provider", "config", "leads"),
    [
        ("slack", {"token": "x", "api_url": "https://a.example/api"}, {"#/api_url": "https://a.example/api"}),
        ("teams", {"url": "http://10.0.0.1/x"}, {"#/url": "http://10.0.0.1/x"}),
        (
            "smtp",
            {"host": "relay.internal", "oauth_token_url": "https://t.example/"},
            {"#/host": "https://relay.internal", "#/oauth_token_url": "https://t.example/"},
        ),
        ("smtp", {"host": "::1"}, {"#/host": "https://[::1]"}),
        ("smtp", {"host": "[::1]"}, {"#/host": "https://[::1]"}),
        ("apprise", {"url": "json://user:pw@127.0.0.1:80/x"}, {"#/url": "https://127.0.0.1"}),
        ("apprise", {"url": "ntfys://[::1]/x"}, {"#/url": "https://[::1]"}),
        ("apprise", {"url": "json://localhost/x"}, {"#/url": "https://localhost"}),
        ("apprise", {"url": "slack://T1JJ3T3L2/A1BRTD4JD/TII/#a"}, {}),
        ("apprise", {"url": "json://[broken/"}, {"#/url": "json://[broken/"}),
        ("teams", {"more": [{"deep": "HTTP://10.0.0.1/"}]}, {"#/more/0/deep": "HTTP://10.0.0.1/"}),
        ("discord", {"username": "Shop: a/b"}, {}),
    ],
)
def test_every_url_and_host_of_the_settings_is_found(provider, config, leads):
    """Of other schemes the host, unless a token stands in its place: no name server must see that."""
    found: dict[str, Any] = {one.pointer: one.url for one in destinations(config, INSTALLED[provider])}
    assert found == leads
