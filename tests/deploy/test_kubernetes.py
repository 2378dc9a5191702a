"""What kubectl makes of deploy/kubernetes: valid objects that fit each other, the server and its image."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from cnnsvc.options import variable_of
from deploy.dockerfile import read_stages
from docs.generator.commands import flags, parameters
from service.settings import ServeSettings
from tests.deploy.programs import require

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ["pvc", "bucket"]
OLDEST, NEWEST = "1.31", "1.37"
"""The oldest knows every field that is used; what it accepts runs on those after it."""


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The objects of an overlay, as `kubectl apply --kustomize` would send them."""
    return _rendered(KUBERNETES / "overlays" / request.param)


def _rendered(folder: Path) -> list[dict[str, Any]]:
    words = [str(Path(sys.executable).with_name("kubectl")), "kustomize", str(folder)]
    rendered = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert rendered.returncode == 0, rendered.stderr
    assert rendered.stderr == ""  # it warns of what is deprecated
    return list(YAML(typ="safe").load_all(rendered.stdout))


def _only(objects: list[dict[str, Any]], kind: str, name: str = "cnnsvc") -> dict[str, Any]:
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def _containers(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pod = _only(objects, "Deployment")["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_schemas_accept_every_object(objects: list[dict[str, Any]], version: str) -> None:
    """Kubernetes' own schemas, with no field that they do not know; they lack the kinds of the Prometheus Operator."""
    kinds = [one["kind"] for one in objects]
    assert {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"} <= set(kinds)
    for one in objects:
        if not one["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(one, version, strict=True)


def test_every_file_is_part_of_an_overlay() -> None:
    """No file lies in the folder unused, but for the values of another chart."""
    used = {KUBERNETES / "prometheus_adapter.yaml"}
    for file in KUBERNETES.rglob("kustomization.yaml"):
        content = YAML(typ="safe").load(file)
        named = [*content.get("resources", []), *(patch["path"] for patch in content.get("patches", []))]
        used |= {file, *(file.parent / name for name in named if name.endswith(".yaml"))}
    assert used == set(KUBERNETES.rglob("*.yaml"))


def test_arguments_are_flags_of_their_command(objects: list[dict[str, Any]]) -> None:
    """What each container calls is a command of cnnsvc, each option one of its flags."""
    for container in _containers(objects):
        command, *arguments = container["args"]
        known = {flag for parameter in parameters(command) for flag in flags(parameter)}
        assert {argument.partition("=")[0] for argument in arguments if argument.startswith("--")} <= known


def test_the_variables_that_kubernetes_sets_are_none_of_ours(objects: list[dict[str, Any]]) -> None:
    """Service links stay off: for a Service named cnnsvc they begin with CNNSVC_, as our settings do."""
    assert _only(objects, "Deployment")["spec"]["template"]["spec"]["enableServiceLinks"] is False
    assert variable_of("x").startswith("CNNSVC_")


def test_ports_are_those_of_the_server_and_of_its_image(objects: list[dict[str, Any]]) -> None:
    """Container, Services and EXPOSE agree with the defaults; probes and policies name ports that are there."""
    defaults = {"grpc": _default("grpc_port"), "http": _default("http_port")}
    server = _containers(objects)[-1]
    assert {port["name"]: port["containerPort"] for port in server["ports"]} == defaults
    (exposed,) = [
        step.words for step in read_stages((ROOT / "Dockerfile").read_text())[-1].steps if step.instruction == "EXPOSE"
    ]
    assert exposed == [str(port) for port in defaults.values()]
    for name, ports in (("cnnsvc", defaults), ("cnnsvc-headless", {"grpc": defaults["grpc"]})):
        service = _only(objects, "Service", name)["spec"]
        assert {port["name"]: port["port"] for port in service["ports"]} == ports
        assert all(port["targetPort"] == port["name"] for port in service["ports"])
    probes = [server[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert [(probe["port"], probe["path"]) for probe in probes] == [
        ("http", "/livez"),
        ("http", "/livez"),
        ("http", "/readyz"),
    ]
    policy = _only(objects, "NetworkPolicy")["spec"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == set(defaults)


def test_the_image_is_the_one_that_compose_builds(objects: list[dict[str, Any]]) -> None:
    """The server's image has the name and tag of compose.yaml; the other one is a target of the same Dockerfile."""
    compose = YAML(typ="safe").load(ROOT / "deploy" / "compose.yaml")["services"]["cnnsvc"]["image"]
    *others, server = [container["image"] for container in _containers(objects)]
    assert server == compose
    targets = {f"cnnsvc-{stage.name}:latest" for stage in read_stages((ROOT / "Dockerfile").read_text())}
    assert set(others) <= targets


def test_a_pod_has_the_time_that_its_server_takes_to_end(objects: list[dict[str, Any]]) -> None:
    """More than pause and grace together, with 3 seconds for the rest."""
    server = _containers(objects)[-1]
    given = dict(argument.removeprefix("--").split("=") for argument in server["args"] if "=" in argument)
    wanted_ms = int(given["shutdown-pause-ms"]) + int(given["shutdown-grace-ms"])
    pod = _only(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] * 1000 >= wanted_ms + 3000


def test_pods_meet_the_restricted_standard(objects: list[dict[str, Any]]) -> None:
    """Each container: not root, the image's own user, nothing gained, a root folder that cannot be written."""
    pod = _only(objects, "Deployment")["spec"]["template"]["spec"]
    (user,) = [
        step.text for step in read_stages((ROOT / "Dockerfile").read_text())[-1].steps if step.instruction == "USER"
    ]
    context = pod["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in _containers(objects):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= set(container["resources"])
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_objects_that_select_pods_select_ours(objects: list[dict[str, Any]]) -> None:
    """Services, budget, policy and spread go by labels that the pods have; the autoscaler names the Deployment."""
    deployment = _only(objects, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    selectors = [
        deployment["selector"]["matchLabels"],
        _only(objects, "Service")["spec"]["selector"],
        _only(objects, "Service", "cnnsvc-headless")["spec"]["selector"],
        _only(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        _only(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in deployment["template"]["spec"]["topologySpreadConstraints"]),
    ]
    assert all(selector.items() <= labels for selector in selectors)
    assert _only(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "cnnsvc"
    assert "replicas" not in deployment
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_the_service_monitor_finds_one_service(objects: list[dict[str, Any]]) -> None:
    """It has fields that the Prometheus Operator documents, and its labels choose a Service that has its port."""
    monitor = _only(objects, "ServiceMonitor")
    assert (monitor["apiVersion"], set(monitor["spec"])) == ("monitoring.coreos.com/v1", {"selector", "endpoints"})
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [one for one in objects if one["kind"] == "Service" and wanted <= one["metadata"]["labels"].items()]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert set(endpoint) == {"port", "path", "interval", "scrapeTimeout"}
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"


def test_models_are_where_the_server_looks() -> None:
    """From a claim that is mounted read-only, or from a store that containers of the pod copy into the volume."""
    claimed = _rendered(KUBERNETES / "overlays" / "pvc")
    (volume,) = _volumes(claimed, "models")
    assert volume == {"name": "models", "persistentVolumeClaim": {"claimName": "cnnsvc-models", "readOnly": True}}
    assert _only(claimed, "PersistentVolumeClaim", "cnnsvc-models")
    copied = _rendered(KUBERNETES / "overlays" / "bucket")
    (volume,) = _volumes(copied, "models")
    assert set(volume) == {"name", "emptyDir"}
    fetch, follow, server = _containers(copied)
    assert (fetch.get("restartPolicy"), follow["restartPolicy"]) == (None, "Always")
    assert "--models-dir=/models" in server["args"]
    for container in (fetch, follow):
        assert container["args"][:3] == ["fetch", "$(MODELS_URL)", "/models"]
        (reference,) = [source["configMapRef"]["name"] for source in container["envFrom"] if "configMapRef" in source]
        assert "MODELS_URL" in _only(copied, "ConfigMap", reference)["data"]


def test_the_autoscaler_asks_for_what_the_adapter_makes(objects: list[dict[str, Any]], tmp_path: Path) -> None:
    """One name, made from a histogram that the server has, by a query that is PromQL."""
    (rule,) = YAML(typ="safe").load(KUBERNETES / "prometheus_adapter.yaml")["rules"]["custom"]
    (metric,) = _only(objects, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    series = rule["seriesQuery"].partition("{")[0]
    assert series == "cnnsvc_stage_duration_seconds_bucket"
    query = rule["metricsQuery"]
    for blank, word in (("Series", series), ("LabelMatchers", 'namespace="a",pod=~"b|c"'), ("GroupBy", "pod")):
        query = query.replace(f"<<.{blank}>>", word)
    rules = tmp_path / "rules.yaml"
    YAML().dump({"groups": [{"name": "adapter", "rules": [{"record": "x:y", "expr": query}]}]}, rules)
    checked = subprocess.run(
        [require("promtool", "prometheus"), "check", "rules", rules], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _volumes(objects: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    volumes = _only(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
    return [volume for volume in volumes if volume["name"] == name]


def _default(field_name: str) -> int:
    (field,) = [field for field in dataclasses.fields(ServeSettings) if field.name == field_name]
    assert isinstance(field.default, int)
    return field.default
