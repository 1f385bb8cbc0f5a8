"""deploy/kubernetes.yml: each object is valid by Kubernetes' own schemas, and they fit each other and the processes."""

import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.http.access import Access, Caller
from app.http.operating_routes import HEALTH, READINESS
from app.http.response import Response
from app.http.signed_tokens import TokenSigner
from tokentail.config.settings import load_settings
from tokentail.supervisor.programs import stop_within_s

ROOT = Path(__file__).parents[2]
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yml").read_text()))
DEPLOYMENTS = ("tokentail-web", "tokentail-worker")
OLDEST = "1.31"


def found(kind: str, name: str) -> dict[str, Any]:
    """One object of the file."""
    (one,) = (each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return one


def container(name: str) -> dict[str, Any]:
    """The only container of a deployment's pods."""
    (only,) = found("Deployment", name)["spec"]["template"]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("number", range(len(OBJECTS)))
def test_an_object_is_valid(number: int) -> None:
    """By the oldest version that the file names; a misspelt field is an error."""
    kubernetes_validate.validate(OBJECTS[number], OLDEST, strict=True)


def test_a_misspelt_field_is_found() -> None:
    """Or the test above would promise nothing."""
    spoilt = {**found("Service", "tokentail"), "spec": {"port": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoilt, OLDEST, strict=True)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_may_stop_as_long_as_its_process_takes(name: str) -> None:
    """The settings are valid with a key, and the grace of the pod is longer than the drain and the jobs' grace."""
    settings = load_settings({**found("ConfigMap", "tokentail")["data"], "TOKENTAIL_API_KEYS": "k" * 48})
    pod = found("Deployment", name)["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > stop_within_s(settings)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_selectors_find_the_pods(kind: str) -> None:
    """Of each set of pods: the set itself, its budget and its service."""
    for each in (each for each in OBJECTS if each["kind"] == kind):
        labels = each["spec"]["template"]["metadata"]["labels"]
        assert each["spec"]["selector"]["matchLabels"] == labels
        others = [other for other in OBJECTS if other["kind"] in {"Service", "PodDisruptionBudget"}]
        selectors = [other["spec"]["selector"] for other in others]
        assert labels in [selector.get("matchLabels", selector) for selector in selectors]


def test_the_web_server_is_alive_without_redis_and_ready_with_it() -> None:
    """A restart mends no outage of Redis."""
    web = container("tokentail-web")
    assert web["livenessProbe"]["httpGet"]["path"] == web["startupProbe"]["httpGet"]["path"] == HEALTH
    assert web["readinessProbe"]["httpGet"]["path"] == READINESS


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_probes_are_answered_whatever_hosts_are_allowed(probe: str) -> None:
    """A probe comes to the pod's address; refused, every pod would be restarted for ever."""
    asked = container("tokentail-web")[probe]["httpGet"]
    (header,) = asked["httpHeaders"]
    settings = load_settings(
        {"TOKENTAIL_HOST": "0.0.0.0", "TOKENTAIL_API_KEYS": "k" * 48, "TOKENTAIL_ALLOWED_HOSTS": "chat.example"}
    )
    access = Access(settings, TokenSigner(settings, time.time))
    assert isinstance(access.admit("GET", asked["path"], {"host": "10.0.0.7:8000"}, ""), Response)
    assert isinstance(access.admit("GET", asked["path"], {header["name"].lower(): header["value"]}, ""), Caller)


def test_a_worker_is_not_restarted_for_redis() -> None:
    """The lease, which needs Redis, says whether a worker is ready; its own metrics say whether it is alive."""
    worker = container("tokentail-worker")
    assert worker["livenessProbe"]["httpGet"] == {"path": "/metrics", "port": "metrics"}
    (script,) = worker["readinessProbe"]["exec"]["command"][1:]
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert script == "/opt/tokentail/worker_alive.py"
    assert "WORKDIR /opt/tokentail\n" in dockerfile
    assert "COPY deploy/worker_alive.py ./\n" in dockerfile


def test_only_workers_get_keys_of_providers() -> None:
    """A web process never calls a provider."""
    secrets = {
        name: [source["secretRef"]["name"] for source in container(name)["envFrom"] if "secretRef" in source]
        for name in DEPLOYMENTS
    }
    assert secrets == {
        "tokentail-web": ["tokentail-keys"],
        "tokentail-worker": ["tokentail-keys", "tokentail-providers"],
    }


def test_workers_grow_with_a_metric_that_exists() -> None:
    """The deployment itself names no number, which an `apply` would reset."""
    (metric,) = found("HorizontalPodAutoscaler", "tokentail-worker")["spec"]["metrics"]
    assert f"`{metric['external']['metric']['name']}`" in (ROOT / "docs" / "operations.md").read_text()
    assert "replicas" not in found("Deployment", "tokentail-worker")["spec"]
