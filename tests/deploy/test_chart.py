"""The Helm chart: what it renders is valid, safe, complete, and stops without losing anything."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from clarion.config import Settings, unsafe
from clarion.model.worker import ROLES
from tests.deploy.covering import left, settings_of
from tests.needs import require_go

CHART = Path(__file__).parents[2] / "deploy/helm/clarion"
KUBERNETES = ("1.30", "1.34")
EVERYTHING = ("keda.enabled=true", "ingress.enabled=true")
Documents = dict[str, list[Any]]


@pytest.fixture
def render(tmp_path: Path) -> Callable[..., Documents]:
    """Renders the chart; the documents by kind."""
    helm = require_go("helm", "it renders the chart")

    def render(*values: str, version: str = KUBERNETES[-1]) -> Documents:
        given = [word for value in ("publicUrl=https://notify.example", *values) for word in ("--set", value)]
        done = subprocess.run(
            [helm, "template", "c", str(CHART), "--kube-version", version, *given],
            env={"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: Documents = defaultdict(list)
        for document in filter(None, yaml.safe_load_all(done.stdout)):
            found[document["kind"]].append(document)
        return found

    return render


def pods(found: Documents) -> list[Any]:
    """The pods of everything that starts some."""
    return [one["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for one in found[kind]]


URLS = {
    "CLARION_DATABASE": "postgresql://db.example/clarion",
    "CLARION_BROKER": "kafka://kafka.example:9092",
    "CLARION_REDIS": "redis://redis.example:6379/0",
}


def environment(container: Any) -> dict[str, str]:
    """What a container is started with; what comes from a secret is the URL of a server of that kind."""
    return {one["name"]: one.get("value") or URLS[one["name"]] for one in container["env"]}


@pytest.mark.parametrize("version", KUBERNETES)
def test_everything_it_renders_is_valid(render, version):
    """By the schemas of Kubernetes, unknown fields refused; what KEDA defines is looked at below."""
    found = render(*EVERYTHING, version=version)
    assert {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "Ingress", "Job"} < found.keys()
    for kind, documents in found.items():
        for document in documents:
            if kind != "ScaledObject":
                kubernetes_validate.validate(document, version, strict=True)


def test_every_role_lane_and_channel_is_covered(render):
    """By what it renders by itself; the variables are settings that there are."""
    settings = [settings_of(environment(pod["containers"][0])) for pod in pods(render())[:-1]]
    assert left(settings) == {}
    assert {role for one in settings for role in one.roles} == set(ROLES)
    assert all(one.unready_s > 2 * 2 for one in settings), "two readiness probes fit into it"


def test_a_lane_that_no_component_takes_would_be_noticed(render):
    """So that the check above can fail."""
    found = render("components.worker.lanes={critical,high}")
    settings = [settings_of(environment(pod["containers"][0])) for pod in pods(found)[:-1]]
    assert set(left(settings)) == {"lane normal", "lane bulk"}


def test_no_container_may_more_than_it_needs(render):
    """Not root, no privileges, a file system that is read only, no token of the cluster, limits; the key is never a variable."""
    for pod in pods(render(*EVERYTHING)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in (*pod["initContainers"], *pod["containers"]):
            allowed = container["securityContext"]
            assert allowed["readOnlyRootFilesystem"] is True
            assert allowed["allowPrivilegeEscalation"] is False
            assert allowed["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
        for variable in pod["containers"][0]["env"]:
            if variable["name"] in URLS:
                assert "secretKeyRef" in variable["valueFrom"]


def test_a_pod_has_the_time_that_a_stop_takes(render):
    """Answering until proxies know, finishing what is under way, and a moment."""
    for one in render()["Deployment"]:
        pod = one["spec"]["template"]["spec"]
        given = settings_of(environment(pod["containers"][0]))
        assert pod["terminationGracePeriodSeconds"] > given.unready_s + given.drain_s + 5
        assert one["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_each_component_is_probed_and_never_leaves_at_once(render):
    """Liveness by one path, readiness by the other; a budget for every Deployment, and for none that is not there."""
    found = render()
    for one in found["Deployment"]:
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in found["Deployment"]]
    for budget in found["PodDisruptionBudget"]:
        wanted = budget["spec"]["selector"]["matchLabels"]
        assert sum(wanted.items() <= its.items() for its in labels) == 1
    assert len(found["PodDisruptionBudget"]) == len(labels)


def test_services_and_policies_select_pods_that_are_there(render):
    """A misspelt label would select nothing, without a word."""
    found = render(*EVERYTHING)
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in (*found["Deployment"], *found["Job"])]
    selectors = [one["spec"]["selector"] for one in found["Service"]]
    selectors += [one["spec"]["podSelector"]["matchLabels"] for one in found["NetworkPolicy"]]
    for selector in selectors:
        assert any(selector.items() <= its.items() for its in labels), selector


def test_workers_scale_by_what_waits_in_their_lanes(render):
    """Through metrics that there are; a Deployment that is scaled says no number of its own."""
    found = render(*EVERYTHING, "components.worker.lanes={critical,high,normal}")
    (scaled,) = found["ScaledObject"]
    target = scaled["spec"]["scaleTargetRef"]["name"]
    (worker,) = (one for one in found["Deployment"] if one["metadata"]["name"] == target)
    assert "replicas" not in worker["spec"]
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == "prometheus"
    reference = (CHART.parents[2] / "docs/reference/metrics.md").read_text()
    for metric in ("clarion_backlog_events", "clarion_runs_planned_total"):
        assert metric in trigger["metadata"]["query"]
        assert f"`{metric}`" in reference
    assert 'lane=~"critical|high|normal"' in trigger["metadata"]["query"]


def test_the_key_is_copied_so_that_clarion_takes_it(render, tmp_path):
    """From a secret that its group may read into a directory that everybody may write, as Kubernetes mounts both: the very command is
    run."""
    secret, data = tmp_path / "secret", tmp_path / "data"
    for folder, mode in ((secret, 0o755), (data, 0o777)):
        folder.mkdir()
        folder.chmod(mode)
    (secret / "installation.key").write_bytes(b"k" * 32)
    (secret / "installation.key").chmod(0o440)
    (container,) = pods(render())[0]["initContainers"]
    command = container["command"][-1].replace("/secret", str(secret)).replace("/var/lib/clarion", str(data))
    subprocess.run(["sh", "-c", command], check=True)
    place = environment(pods(render())[0]["containers"][0])["CLARION_DATA_DIR"]
    found = Settings(data_dir=Path(place.replace("/var/lib/clarion", str(data))))
    assert list(unsafe(found)) == []


def test_it_does_not_install_without_an_address(tmp_path):
    """The error says what is missing."""
    helm = require_go("helm", "it renders the chart")
    done = subprocess.run(
        [helm, "template", "c", str(CHART), "--kube-version", KUBERNETES[-1]],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "publicUrl is the https:// address that people use" in done.stderr
