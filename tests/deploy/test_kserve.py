"""What kubectl makes of deploy/kserve: objects of KServe with fields that it documents, which fit the server."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from cnnsvc.manifest import MANIFEST_FORMAT
from deploy.dockerfile import read_stages
from docs.generator.commands import flags, parameters

ROOT = Path(__file__).parents[2]
KSERVE = ROOT / "deploy" / "kserve"
MODELS: Final = "/mnt/models"
"""Where KServe's storage initializer puts what it copies."""

_RUNTIME_FIELDS: Final = {
    *("supportedModelFormats", "protocolVersions", "multiModel", "disabled", "containers", "volumes", "nodeSelector"),
    *("affinity", "tolerations", "labels", "annotations", "imagePullSecrets"),
}
_PREDICTOR_FIELDS: Final = {"minReplicas", "maxReplicas", "model", "timeout", "canaryTrafficPercent"}
_MODEL_FIELDS: Final = {"modelFormat", "runtime", "protocolVersion", "storageUri", "storage", "ports", "args", "env"}


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    words = [str(Path(sys.executable).with_name("kubectl")), "kustomize", str(KSERVE)]
    rendered = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (rendered.returncode, rendered.stderr) == (0, "")
    return list(YAML(typ="safe").load_all(rendered.stdout))


@pytest.fixture
def runtime(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == "ServingRuntime"]
    return found


@pytest.fixture
def services(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] == "InferenceService"]


def test_fields_are_those_that_kserve_documents(runtime: dict[str, Any], services: list[dict[str, Any]]) -> None:
    """Kinds, versions and fields of its custom resources; what is unknown there would be dropped without a word."""
    assert runtime["apiVersion"] == "serving.kserve.io/v1alpha1"
    assert set(runtime["spec"]) <= _RUNTIME_FIELDS
    for each in runtime["spec"]["supportedModelFormats"]:
        assert set(each) <= {"name", "version", "autoSelect", "priority"}
    assert len(services) == 2
    for service in services:
        assert service["apiVersion"] == "serving.kserve.io/v1beta1"
        assert set(service["spec"]) == {"predictor"}
        assert set(service["spec"]["predictor"]) <= _PREDICTOR_FIELDS
        assert set(service["spec"]["predictor"]["model"]) <= _MODEL_FIELDS


def test_its_container_is_one_that_kubernetes_takes(runtime: dict[str, Any]) -> None:
    """Kubernetes' own schema accepts it in a pod, with no field that it does not know."""
    spec = {"containers": runtime["spec"]["containers"], "volumes": runtime["spec"]["volumes"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    kubernetes_validate.validate(pod, "1.31", strict=True)


def test_the_services_ask_for_what_the_runtime_offers(runtime: dict[str, Any], services: list[dict[str, Any]]) -> None:
    """Format and protocol are among the runtime's, which reads bundles of the format that this program writes."""
    spec = runtime["spec"]
    formats = {(each["name"], each["version"]) for each in spec["supportedModelFormats"]}
    assert formats == {("cnnsvc", str(MANIFEST_FORMAT))}
    models = [service["spec"]["predictor"]["model"] for service in services]
    for model in models:
        assert model["runtime"] == runtime["metadata"]["name"]
        assert (model["modelFormat"]["name"], model["modelFormat"]["version"]) in formats
    assert [model["protocolVersion"] for model in models] == spec["protocolVersions"] == ["v2", "grpc-v2"]


def test_the_container_is_our_server(runtime: dict[str, Any], services: list[dict[str, Any]]) -> None:
    """Its arguments are flags of serve, models lie where KServe puts them, ports and user are those of the image."""
    (container,) = runtime["spec"]["containers"]
    assert (container["name"], container["image"]) == ("kserve-container", "cnnsvc:latest")
    command, *arguments = container["args"]
    known = {flag for parameter in parameters(command) for flag in flags(parameter)}
    assert {argument.partition("=")[0] for argument in arguments} <= known
    assert f"--models-dir={MODELS}" in arguments
    image = read_stages((ROOT / "Dockerfile").read_text())[-1].steps
    (user,) = [step.text for step in image if step.instruction == "USER"]
    assert user.startswith(f"{container['securityContext']['runAsUser']}:")
    (exposed,) = [step.words for step in image if step.instruction == "EXPOSE"]
    (http,) = container["ports"]
    (grpc,) = next(filter(None, (service["spec"]["predictor"]["model"].get("ports") for service in services)))
    assert [str(grpc["containerPort"]), str(http["containerPort"])] == exposed
    assert (grpc["name"], http["name"]) == ("h2c", "http1")
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == http["containerPort"]
    assert runtime["metadata"]["annotations"]["prometheus.kserve.io/port"] == str(http["containerPort"])
