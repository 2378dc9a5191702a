"""What wrk and h2load print becomes figures, and failures are never figures."""

import pytest

from bench import load
from bench.dialects import RAW, TRITON
from cnnsvc.pb import classifier_pb2 as pb

_WRK = """Running 6s test @ http://127.0.0.1:8501
  1 threads and 8 connections
  100 requests in 2.01s, 31.05KB read

RESULT {"requests": 100, "microseconds": 2000000, "errors": 0, "p50": 4500, "p99": 9000}
"""
_H2LOAD = """
finished in 2.00s, 182.50 req/s, 15.24KB/s
requests: 365 total, 373 started, 365 done, 365 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 365 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 30.49KB (31219) total, 1.66KB (1695) headers (space savings 94.27%), 7.49KB (7665) data
"""
_LOG = "1795500304537803\t200\t30000\n1795500304537837\t200\t40000\n1795500304537882\t200\t50000\n"


def test_wrk_is_read() -> None:
    """Images, seconds and milliseconds come from the line that our script writes."""
    found = load.parse_wrk(_WRK)
    assert (found.num_images, found.seconds, found.p50_ms, found.p99_ms) == (100, 2.0, 4.5, 9.0)
    assert found.images_per_second == 50


def test_h2load_is_read() -> None:
    """Counts come from the summary and latencies from the log."""
    found = load.parse_h2load(_H2LOAD, _LOG, 20)
    assert (found.num_images, found.seconds, found.p50_ms) == (365, 2.0, 40.0)
    assert found.p99_ms == pytest.approx(49.8)


@pytest.mark.parametrize(
    "output",
    [
        _H2LOAD.replace("0 failed", "1 failed"),
        _H2LOAD.replace("365 succeeded", "364 succeeded"),
        _H2LOAD.replace("(7665) data", "(0) data"),  # calls that fail have their status in the trailers alone
        _H2LOAD.replace("(7665) data", "(6900) data"),  # one in ten has none
        "connect() failed",
    ],
)
def test_failed_calls_are_no_figures(output: str) -> None:
    """A run of h2load with a call that failed, or had no answer, is refused."""
    with pytest.raises(load.LoadError):
        load.parse_h2load(output, _LOG, 20)


@pytest.mark.parametrize("output", [_WRK.replace('"errors": 0', '"errors": 3'), _WRK[:40]])
def test_failed_requests_are_no_figures(output: str) -> None:
    """A run of wrk with a request that failed is refused."""
    with pytest.raises(load.LoadError):
        load.parse_wrk(output)


def test_long_waits_count_for_what_they_kept_back() -> None:
    """A duration above twice the mean adds the requests that would have been sent meanwhile; the others stay."""
    assert sorted(load.without_omission([1.0] * 8 + [12.0])) == pytest.approx(
        [1.0] * 8 + [12 - 20 / 9 * n for n in range(4, -1, -1)]
    )


def test_grpc_frame() -> None:
    """A frame is a zero, the length, and the request with the photograph in it."""
    frame = load.grpc_frame(b"photograph")
    assert frame[0] == 0
    assert int.from_bytes(frame[1:5]) == len(frame) - 5
    assert pb.ClassifyRequest.FromString(frame[5:]).images == [b"photograph"]


def test_triton_header_length() -> None:
    """The header says where the JSON ends and the tensor begins."""
    request = TRITON.request(b"photograph")
    length = int(request.headers["Inference-Header-Content-Length"])
    assert request.body[length:] == b"\x0a\x00\x00\x00photograph"
    assert RAW.request(b"photograph").body == b"photograph"
