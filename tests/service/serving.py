"""The rooms that load models, wired as in the service but for its doors."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from cnnsvc.engines.golden import GOLDEN_DIR, read_golden
from cnnsvc.engines.upstream import Upstream
from cnnsvc.manifest import read_manifest, write_manifest
from cnnsvc.model import ModelOptions
from service.admin import Admin
from service.loader import Loader
from service.metrics import Metrics
from service.probation import ProbationLimits
from service.registry import Registry
from service.rollback import Rollbacks
from service.rollout import CURABLE_ELSEWHERE, Rollout, RolloutOptions
from service.service_state import StateStore
from service.version_policy import read_policies

PROBATION = ProbationLimits(seconds=300, max_error_share=0.05, min_images=20)


@dataclass
class Serving:
    registry: Registry
    loader: Loader
    store: StateStore
    rollout: Rollout
    rollbacks: Rollbacks
    admin: Admin
    prometheus: CollectorRegistry

    async def close(self) -> None:
        await self.loader.close()
        self.registry.close()

    def served(self, name: str = "flowers") -> list[int]:
        return sorted(self.registry.versions(name))

    def default(self, name: str = "flowers") -> int:
        found = self.registry.default(name)
        assert found is not None
        return found.manifest.version

    def value(self, name: str, **labels: str) -> float | None:
        return self.prometheus.get_sample_value(name, labels)


def build(
    models_dir: Path,
    versions: str = "latest:1",
    *,
    state_dir: Path | None = None,
    allow_class_change: bool = False,
    probation: ProbationLimits = PROBATION,
    clock: Callable[[], float] = lambda: 0.0,
    upstream: Upstream | None = None,
) -> Serving:
    """Nothing is loaded yet. The clock stands still unless it is given."""
    model_options = ModelOptions("remote", upstream=upstream, num_streams=2) if upstream else ModelOptions("openvino")
    curable = CURABLE_ELSEWHERE if upstream else frozenset()
    prometheus = CollectorRegistry()
    metrics = Metrics(prometheus, version="0")
    registry = Registry(metrics)
    loader = Loader(registry, metrics, model_options, allow_class_change=allow_class_change, clock=clock)
    store = StateStore(state_dir)
    options = RolloutOptions(models_dir, read_policies(versions), probation, curable)
    rollout = Rollout(registry, loader, store, options, clock)
    rollbacks = Rollbacks(registry, rollout, store, metrics.rollout, probation, clock)
    return Serving(registry, loader, store, rollout, rollbacks, Admin(registry, rollout, rollbacks, store), prometheus)


async def started(
    models_dir: Path, versions: str = "latest:1", *, proves_apart: bool = False, **options: Any
) -> Serving:
    """What is there is loaded. Later versions are proven in a process of their own only where told: it takes long."""
    serving = build(models_dir, versions, **options)
    await serving.rollout.start()
    serving.loader.is_serving = proves_apart
    return serving


def falsify_golden_answers(path: Path) -> None:
    """Wrong answers under right hashes: only running the network can tell."""
    golden = read_golden(path)
    wrong = {artifact: [[*row[1:], row[0]] for row in rows] for artifact, rows in golden.scores.items()}
    content = msgspec.json.encode(msgspec.structs.replace(golden, scores=wrong))
    (path / GOLDEN_DIR / "answers.json").write_bytes(content)
    manifest = read_manifest(path)
    files = {**manifest.files, "golden/answers.json": hashlib.sha256(content).hexdigest()}
    write_manifest(path, msgspec.structs.replace(manifest, files=files))
