"""KServe's clients of the Open Inference protocol get of our server what they get of theirs."""

from pathlib import Path

import numpy as np
import pytest

from tests.e2e.server import Server
from tests.outside.client_programs import own_scores, pictures, run_client

pytestmark = pytest.mark.slow


def test_kserve_clients(server: Server, tmp_path: Path) -> None:
    """Health and scores over REST and gRPC, in each form that they send, to the last digit of the float32."""
    images, pixels = pictures(2)
    (tmp_path / "image.png").write_bytes(images[0])
    np.save(tmp_path / "pixels.npy", np.stack(pixels))
    arguments = server.http_url, server.grpc_address, tmp_path / "image.png", tmp_path / "pixels.npy"
    found = run_client("kserve", "kserve.py", *arguments)
    expected = own_scores(server.http_url, images)
    forms = {"http": ("json", "binary", "binary_output"), "grpc": ("typed", "binary")}
    for protocol, answers in found.items():
        assert [answers[name] for name in ("live", "ready", "model_ready")] == [True] * 3, protocol
        for form in forms[protocol]:
            assert np.array_equal(np.array(answers[form], np.float32), expected), (protocol, form)
        assert np.array_equal(np.array(answers["encoded"], np.float32), expected[:1]), protocol
    assert found["http"]["other_model_ready"] is False
    status, message = found["http"]["refused"]
    assert (status, "served are flowers" in message) == (404, True)
    status, message = found["grpc"]["refused"]
    assert (status, "[2, 2, 32, 3]" in message) == ("INVALID_ARGUMENT", True)
