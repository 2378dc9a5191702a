"""A registry that shows the sums over all workers: each counts into files of its own, a scrape reads them all.

A worker that is started again goes on where its predecessor's files end, so no counter ever falls.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_OLDEST: Final = ("process_start_time_seconds",)
"""Of these the least value of the living is shown, of all other gauges of other collectors their sum."""


class SharedRegistry(CollectorRegistry):
    def __init__(self, folder: Path, worker: int) -> None:
        """For a whole process, before its first metric is made: prometheus_client knows no other way."""
        os.environ[_FOLDER_VARIABLE] = str(folder)
        values.ValueClass = values.MultiProcessValue(process_identifier=lambda: worker)
        super().__init__()
        self._folder = folder
        self._others: list[Collector] = []
        self._mirrors: dict[str, Counter | Gauge] = {}
        self._told: dict[tuple[str, tuple[str, ...]], float] = {}

    def register(self, collector: Collector) -> None:
        super().register(collector)
        if not isinstance(collector, MetricWrapperBase):  # those write to the files by themselves
            self._others.append(collector)

    def collect(self) -> Iterable[Metric]:
        self.publish()
        # A worker that starts has made a file before it gave it a size.
        files = [str(file) for file in self._folder.glob("*.db") if _has_content(file)]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)
        return merged

    def publish(self) -> None:
        """Writes what other collectors say of this process to its files, for the scrapes of other workers."""
        for collector in self._others:
            for family in collector.collect():
                self._publish_family(family)

    def _publish_family(self, family: Metric) -> None:
        for sample in family.samples:
            names, labels = tuple(sample.labels), tuple(sample.labels.values())
            mirror = self._mirrors.get(family.name)
            if mirror is None:
                mirror = self._mirrors[family.name] = _mirror(family, names)
            child = mirror.labels(*labels) if labels else mirror
            if isinstance(child, Gauge):
                child.set(sample.value)
            else:
                before = self._told.get((family.name, labels), 0.0)
                self._told[family.name, labels] = sample.value
                child.inc(max(0.0, sample.value - before))


def forget_living(folder: Path, worker: int) -> None:
    """After a worker's end: what it had in flight or waiting is gone, what it counted stays."""
    mark_process_dead(worker, str(folder))


def forget_series(metric: MetricWrapperBase, labels: dict[str, str]) -> None:
    """No series with these labels any more. Of a SharedRegistry, whose files forget none, gauges become 0."""
    if _FOLDER_VARIABLE not in os.environ:
        metric.remove_by_labels(labels)
        return
    if not isinstance(metric, Gauge):
        return
    for family in metric.collect():
        for sample in family.samples:
            if labels.items() <= sample.labels.items():
                metric.labels(**sample.labels).set(0)


def _mirror(family: Metric, labels: tuple[str, ...]) -> Counter | Gauge:
    if family.type == "counter":
        return Counter(family.name, family.documentation, labels, registry=None)
    return Gauge(
        family.name,
        family.documentation,
        labels,
        registry=None,
        multiprocess_mode="livemin" if family.name in _OLDEST else "livesum",
    )


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # of a worker that ended just now
        return False
