"""The serve command as an operator meets it: two doors, health, ports, signals."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from cnnsvc.client import Classification, Client
from cnnsvc.errors import NotReadyError
from cnnsvc.local import LocalClassifier
from cnnsvc.model import ModelOptions
from tests.bundles import CLASS_NAMES, write_bundle
from tests.e2e.server import CNNSVC, Server, serving
from tests.encoded import encode, scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def server(models_dir: Path) -> Iterator[Server]:
    with serving("--models-dir", models_dir, "--engine", "openvino") as server:
        yield server


def test_both_doors_answer_what_the_bundle_answers(server: Server, models_dir: Path) -> None:
    """gRPC, HTTP and the bundle without a server give the same names and the same scores."""
    client = Client(server.grpc_address)
    local = LocalClassifier(models_dir / "flowers" / "1", ModelOptions("openvino"))
    for seed in range(10):
        image = encode("JPEG", seed=seed)
        expected = local.classify(image, None)
        assert client.classify(image) == expected
        answer = httpx.post(f"{server.http_url}/api/v1/classify", content=image).json()
        assert (answer["model"], answer["version"]) == ("flowers", 1)
        (result,) = answer["results"]
        assert [(scored["name"], scored["score"]) for scored in result["classes"]] == list(expected.classes)
    client.close()
    local.close()


def test_health_by_every_name(server: Server) -> None:
    """grpc.health.v1 says SERVING for the server and for our service, and does not know others."""
    for service in ("", "cnnsvc.v1.Classifier"):
        assert _health(server, service) == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as refused:
        _health(server, "other")
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert httpx.get(f"{server.http_url}/livez").status_code == 200
    assert httpx.get(f"{server.http_url}/readyz").json() == {"ready": True, "reasons": [], "warnings": []}


def test_reflection_describes_the_service(server: Server) -> None:
    """A client that has no .proto finds the service and its methods."""
    with grpc.insecure_channel(server.grpc_address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "cnnsvc.v1.Classifier" in database.get_services()
        service = DescriptorPool(database).FindServiceByName("cnnsvc.v1.Classifier")
        assert [method.name for method in service.methods] == ["Classify", "ListModels", "GetModel", "ClassifyStream"]


@pytest.mark.parametrize("door", ["http", "grpc"])
def test_a_port_in_use_is_an_error_not_a_share(server: Server, models_dir: Path, door: str) -> None:
    """A second server on the same port ends with status 2 and names the address, for either door."""
    address = server.grpc_address if door == "grpc" else server.http_url
    port = address.rpartition(":")[2]
    other = "http" if door == "grpc" else "grpc"
    words = [CNNSVC, "serve", "--models-dir", models_dir, f"--{door}-port", port, f"--{other}-port", "0"]
    finished = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_only_this_machine_is_listened_to(server: Server) -> None:
    """Both doors are bound to 127.0.0.1: another address of this machine refuses."""
    for address in (server.grpc_address, server.http_url):
        port = int(address.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=5)


def test_neither_folder_nor_bundle_is_an_error() -> None:
    """Without a model to serve the command says which flags there are."""
    finished = subprocess.run([str(CNNSVC), "serve"], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 2
    assert finished.stderr == "cnnsvc: expected either --models-dir or --bundle, and not both\n"


def test_an_empty_folder_lives_but_is_not_ready(tmp_path: Path) -> None:
    """Without models the process answers, /readyz and gRPC health say no, and calls are told why."""
    with serving("--models-dir", tmp_path, until="no model is there to serve") as server:
        assert httpx.get(f"{server.http_url}/livez").status_code == 200
        ready = httpx.get(f"{server.http_url}/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["no model is there to serve"])
        assert _health(server, "") == health_pb2.HealthCheckResponse.NOT_SERVING
        assert httpx.post(f"{server.http_url}/api/v1/classify", content=encode("JPEG")).status_code == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(models_dir: Path, number: signal.Signals) -> None:
    """Calls that arrived before the signal are all answered, on both doors, and the exit status is 0."""
    slow = encode("PNG", scene(1500, 1500))
    with serving("--models-dir", models_dir) as server, ThreadPoolExecutor(4) as threads:
        client, http = Client(server.grpc_address), httpx.Client(timeout=60)
        files = [(str(index), slow) for index in range(60)]
        grpc_calls = [threads.submit(client.classify, slow) for _ in range(2)]
        http_calls = [threads.submit(http.post, f"{server.http_url}/api/v1/classify", files=files) for _ in range(2)]
        _wait_for('cnnsvc_requests_in_flight{protocol="http"} 2.0', server)
        server.process.send_signal(number)
        assert [call.result().classes[0][0] in CLASS_NAMES for call in grpc_calls] == [True, True]
        assert [call.result().status_code for call in http_calls] == [200, 200]
        assert server.process.wait(timeout=30) == 0
        client.close()
        http.close()
    assert server.log[-1].rstrip().endswith("stopped")


def test_a_signal_ends_streams_in_order(models_dir: Path) -> None:
    """The images that the server has read are answered, the others are told to come back, and the exit status is 0."""
    slow = encode("PNG", scene(800, 800))
    with serving("--models-dir", models_dir) as server, Client(server.grpc_address) as client:
        outcomes = []
        for _, outcome in client.classify_stream((number, slow) for number in range(1000)):
            outcomes.append(outcome)
            if len(outcomes) == 20:
                server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0
    answered = [outcome for outcome in outcomes if isinstance(outcome, Classification)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, NotReadyError)]
    assert len(answered) >= 20
    assert len(refused) >= 500
    assert len(answered) + len(refused) == 1000
    assert "the server is stopping" in str(refused[0])


def _health(server: Server, service: str) -> int:
    """The status that grpc.health.v1 gives a service. Raises grpc.RpcError."""
    with grpc.insecure_channel(server.grpc_address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        return int(check(health_pb2.HealthCheckRequest(service=service)).status)


def _wait_for(sample: str, server: Server) -> None:
    """Until the metrics show the sample, 10 s at most."""
    give_up = time.monotonic() + 10
    while sample not in httpx.get(f"{server.http_url}/metrics").text:
        assert time.monotonic() < give_up, f"no {sample} within 10 s"
        time.sleep(0.005)


def test_a_bundle_by_path(models_dir: Path) -> None:
    """--bundle serves one version folder, and no folder of models is complained of."""
    with serving("--bundle", models_dir / "flowers" / "1") as server:
        models = httpx.get(f"{server.http_url}/api/v1/models").json()["models"]
        assert [(model["name"], model["version"]) for model in models] == [("flowers", 1)]
        assert "cnnsvc_models_folder_readable 1.0" in httpx.get(f"{server.http_url}/metrics").text


def test_a_bundle_that_is_refused_ends_the_start(tmp_path: Path) -> None:
    """A damaged bundle given by path ends the process with its reason, without a traceback."""
    path = write_bundle(tmp_path)
    (path / "model.onnx").write_bytes(b"damaged")
    words = [CNNSVC, "serve", "--bundle", path, "--grpc-port", "0", "--http-port", "0"]
    finished = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 1
    assert "model.onnx has SHA-256" in finished.stderr
    assert "Traceback" not in finished.stderr
