"""The page of metrics, read from a registry in which each of them has been observed once."""

from typing import Final

from prometheus_client import CollectorRegistry, Metric

from cnnsvc.engines.choice import Trial
from cnnsvc.errors import Fault, Kind
from cnnsvc.manifest import Artifact, Baseline, ImageShape, Manifest, Network
from docs.generator.markdown import code, joined, table, text
from service.drift import FEATURES, LEAST_IMAGES
from service.metrics import REJECTION_REASONS, STAGES, Metrics
from service.rollout_metrics import CAUSES

_UNITS: Final = ("seconds", "bytes")
_LABELS: Final = {
    "protocol": "`grpc` or `http`",
    "method": "`classify`, `classify_stream` (each image of a stream counts as one call), `get_model`, `list_models`,"
    " those of the admin API, which begin with `admin_`, of TensorFlow Serving's protocol, which begin with `tfs_`, of"
    " the Open Inference protocol, which begin with `oip_`, and `authorize`: calls that were refused for want of a"
    " token",
    "model": "name of the model that answered; empty where a call failed",
    "version": "of the model; empty where a call failed. Of `cnnsvc_build_info` that of the program",
    "code": f"`ok` or the kind of the error: {', '.join(map(code, Kind))}",
    "reason": ", ".join(map(code, REJECTION_REASONS)),
    "stage": ", ".join(map(code, STAGES)),
    "outcome": "`loaded` or `refused`",
    "class": "name of the class",
    "fault": ", ".join(map(code, Fault)),
    "label": "as an operator named it",
    "cause": ", ".join(map(code, CAUSES)),
    "engine": "`openvino` or `onnxruntime`",
    "artifact": "as the manifest names it, such as `model.int8.onnx`",
    "streams": "inferences at once",
    "batch_size": "images an inference",
    "feature": f"what drifts: {', '.join(map(code, FEATURES))}",
    "network": "name of the network, or `custom`",
    "python": "version of Python",
    "file": "`tokens` or `certificates`; of the certificates' expiry `certificate` or `client_ca`",
    "generation": "of Python's garbage collector",
}


def page() -> str:
    families = metric_families()
    own = [family for family in families if family.name.startswith("cnnsvc_")]
    others = [family for family in families if family not in own]
    labels = dict.fromkeys(label for family in own for label in _labels(family))
    return joined(
        "# Metrics",
        "Of `GET /metrics`. Every duration is in seconds, and no label takes its value from a request, so that callers"
        " cannot add time series. What to ask of them: [operate.md](../operate.md#metrics).",
        "## Our own",
        table(("metric", "type", "unit", "labels", "is"), map(_row, own)),
        "Of a histogram Prometheus stores `_bucket` (with the label `le`), `_sum` and `_count`.",
        "## Labels",
        table(("label", "is"), ((code(label), _LABELS[label]) for label in labels)),
        "## Buckets",
        table(
            ("histogram", "upper bounds"),
            ((code(one.name), ", ".join(_bounds(one))) for one in own if one.type == "histogram"),
        ),
        "## Of the process and of Python",
        table(("metric", "type", "unit", "labels", "is"), map(_row, others)),
    )


def metric_families() -> list[Metric]:
    """Every metric, with at least one sample."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="")
    model = metrics.add_model(_manifest(), [Trial("", "", 1, 1, is_chosen=True)], lambda: 0)
    for _ in range(LEAST_IMAGES):
        model.drift.observe("a", 0, (0, 0, 0))
    metrics.sample()
    metrics.observe_load("", 0, is_loaded=True)
    metrics.rollout.set_refused("", 1, Fault.HASH)
    metrics.rollout.set_routes("", 1, {"": 1})
    metrics.keys.observe({"": False}, {"": 0})
    with metrics.request("grpc", "classify"):
        pass
    return sorted(registry.collect(), key=lambda family: family.name)


def name_in_prometheus(family: Metric) -> str:
    """Counters end in _total there."""
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def _row(family: Metric) -> list[str]:
    name = name_in_prometheus(family)
    words = name.removesuffix("_total").rpartition("_")
    unit = words[2] if words[2] in _UNITS else ""
    return [code(name), family.type, unit, ", ".join(map(code, _labels(family))), text(family.documentation)]


def _labels(family: Metric) -> list[str]:
    return [label for label in family.samples[0].labels if label != "le"]


def _bounds(family: Metric) -> list[str]:
    """Of any one child; +Inf goes without saying."""
    bounds = dict.fromkeys(sample.labels["le"] for sample in family.samples if "le" in sample.labels)
    return [bound for bound in bounds if bound != "+Inf"]


def _manifest() -> Manifest:
    return Manifest(
        format=1,
        name="",
        version=1,
        created="",
        class_names=["a", "b"],
        image=ImageShape(1, 1, 3),
        pixels=2,
        network=Network("", "", 0),
        artifacts={"model.onnx": Artifact("", 0, 0, 0, 0)},
        files={},
        training={},
        baseline=Baseline([0.5, 0.5], [1], [], [[1]] * 3),
    )
