"""The installation of `deploy/compose.yaml`: complete, safe, and wired as the proxy expects. No container is started here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from clarion.config import unsafe
from tests.deploy.covering import left, settings_of

DEPLOY = Path(__file__).parents[2] / "deploy"
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


@pytest.fixture(scope="module")
def compose() -> Any:
    """The file, with its anchors resolved."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def clarions(compose: Any) -> dict[str, Any]:
    """The services that are Clarion and serve."""
    return {
        name: one for name, one in compose["services"].items() if one.get("command") == ["clarion", "serve"]
    }


def environment(service: Any) -> dict[str, str]:
    """Its variables with their defaults, and the one that its entry point makes."""
    given = {name: DEFAULT.sub(r"\1", str(value)) for name, value in service["environment"].items()}
    (url,) = re.findall(r'CLARION_DATABASE="([^"]+)"', service["entrypoint"][2])
    return {**given, "CLARION_DATABASE": url, "CLARION_HOST": "0.0.0.0"}


def test_every_role_lane_and_channel_is_covered(compose):
    """By two workers, two gateways and two processes for requests, with settings that there are and that may serve."""
    settings = {name: settings_of(environment(one)) for name, one in clarions(compose).items()}
    assert left(settings.values()) == {}
    for role in ("api", "gateway", "worker"):
        assert sum(role in one.roles for one in settings.values()) == 2
    reasons = [why for one in settings.values() for why in unsafe(one) if "data_dir" not in why]
    assert [why for why in reasons if "key_file" not in why] == []


def test_a_stop_has_the_time_it_takes(compose):
    """Longer than a process answers and finishes."""
    for one in clarions(compose).values():
        given = settings_of(environment(one))
        assert int(one["stop_grace_period"].removesuffix("s")) > given.unready_s + given.drain_s + 5


def test_no_container_of_ours_may_more_than_it_needs(compose):
    """A file system that is read only, no capabilities; only the proxy is reached from outside, and only on this machine."""
    for name, one in {**clarions(compose), "nginx": compose["services"]["nginx"]}.items():
        assert one["read_only"] is True, name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
    published = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert published == {"nginx": ["127.0.0.1:8080:8080"]}


def test_no_image_is_whatever_is_newest(compose):
    """Each that is not built here has a version."""
    for name, one in compose["services"].items():
        if one["image"] != "clarion-extras":
            assert re.search(r":\d", one["image"]), name
            assert "latest" not in one["image"], name


def test_the_proxy_knows_exactly_the_processes_there_are(compose):
    """Each under its name and port, in front of the right role."""
    config = (DEPLOY / "nginx.conf").read_text()
    for role in ("api", "gateway"):
        (block,) = re.findall(rf"upstream {role} \{{(.*?)\}}", config, re.DOTALL)
        named = set(re.findall(r"server ([\w-]+):8080", block))
        having = {n for n, one in clarions(compose).items() if one["environment"]["CLARION_ROLES"] == role}
        assert named == having


def test_everything_that_is_named_is_there(compose):
    """Services that others wait for, volumes, networks, secrets and files."""
    services = compose["services"]
    for one in services.values():
        assert set(one.get("depends_on", ())) <= services.keys()
        assert set(one.get("networks", ())) <= compose["networks"].keys()
        assert set(one.get("secrets", ())) <= compose["secrets"].keys()
        for volume in one.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), volume
    assert (DEPLOY / services["migrate"]["build"]["context"] / "Dockerfile").exists()
