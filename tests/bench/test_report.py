"""A whole report from figures alone."""

from pathlib import Path

from bench import report
from bench.measure import SERVER_CPU


def test_report_is_written(tmp_path: Path) -> None:
    """Every system, what was left out and why, and a picture."""
    result = report.Result(
        options="--bundle BUNDLE",
        bundle="network 26 at 180×180",
        artifact="model.onnx",
        is_photographed=True,
        photographs={"180×180": [1000, 3000]},
        seconds=6,
        num_memory_requests=10_000,
        rounds=[{"cnnsvc_http": {SERVER_CPU: 2.5}}],
        systems=["cnnsvc_http", "peer"],
        installed_mib={"peer": 12.0},
        tuning={"peer": {"1 processes": 3.0}},
        chosen={"peer": "1 processes"},
        skipped={"other": "the bundle has no model.int8.onnx"},
    )
    report.write(result, tmp_path)
    text = (tmp_path / "peers.md").read_text()
    assert "| cnnsvc_http |" in text
    assert "- other: the bundle has no model.int8.onnx" in text
    assert "cnnsvc_http" in (tmp_path / "peers.svg").read_text()
