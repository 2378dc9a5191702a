"""The drift of each watched model version as gauges, worked out when they are looked at and not before."""

from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from cnnsvc.manifest import Manifest
from service.drift import DriftWindow
from service.shared_metrics import forget_series

_LABELS: Final = ("model", "version")


class DriftGauges:
    """Used on one thread.

    Of several workers each has a window of its own: shown is the greatest PSI, and how many images there are in all.
    """

    def __init__(self, registry: CollectorRegistry, window_images: int) -> None:
        """With a window of 0 images nothing is watched."""
        self._window_images = window_images
        self._windows: dict[tuple[str, str], DriftWindow] = {}
        self._psi = Gauge(
            "cnnsvc_drift_psi",
            "Population stability index of the last images of a model version against its baseline; of several"
            " workers the greatest.",
            (*_LABELS, "feature"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._by_chance = Gauge(
            "cnnsvc_drift_psi_by_chance",
            "Population stability index to be expected of as many images without any drift; of several workers the"
            " greatest.",
            (*_LABELS, "feature"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._num_images = Gauge(
            "cnnsvc_drift_window_images",
            "Last images of a model version over which drift is measured; of several workers those of all.",
            _LABELS,
            registry=registry,
            multiprocess_mode="livesum",
        )

    def watch(self, manifest: Manifest) -> DriftWindow:
        """A window for a version that begins to serve; its drift is shown from now on."""
        key = manifest.name, str(manifest.version)
        if key in self._windows:
            self.forget(self._windows[key])
        window = DriftWindow(manifest, self._window_images)
        if self._window_images:
            self._windows[key] = window
        return window

    def forget(self, window: DriftWindow) -> None:
        """Of a version that is unloaded: its drift is shown no more. One that another has replaced changes nothing."""
        key = next((key for key, watched in self._windows.items() if watched is window), None)
        if key is None:
            return
        del self._windows[key]
        for gauge in (self._num_images, self._psi, self._by_chance):
            forget_series(gauge, dict(zip(_LABELS, key, strict=True)))

    def sample(self) -> None:
        """Sets the gauges to what the windows hold now."""
        for key, window in self._windows.items():
            self._num_images.labels(*key).set(window.num_images)
            for drift in window.drifts():
                self._psi.labels(*key, drift.feature).set(drift.psi)
                self._by_chance.labels(*key, drift.feature).set(drift.by_chance)
