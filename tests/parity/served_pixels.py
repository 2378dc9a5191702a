"""The rows of the training cache beside the tensors that a running server hands its engine, for a folder of images.

Also a program, for photographs that are not in the repository: `python -m tests.parity.served_pixels FOLDER [NUMBER]`.
"""

import hashlib
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from cnnsvc.client import Client
from cnnsvc.manifest import ImageShape
from tests.bundles import write_bundle
from tests.e2e.server import serving
from training.cache import fill_cache
from training.dataset import scan, split_like_keras
from training.progress import Reporter


@dataclass(frozen=True)
class Comparison:
    """Hashes of one file's pixels, by who made them."""

    file: Path
    trained: str
    over_grpc: str
    over_http: str

    @property
    def is_equal(self) -> bool:
        return self.trained == self.over_grpc == self.over_http


def compare(folder: Path, image: ImageShape, work: Path, num_images: int | None = None) -> list[Comparison]:
    """One comparison an image of folder/<class>/*, the first `num_images` of the cache; `work` is an empty folder."""
    cache = fill_cache(
        scan(folder),
        split_like_keras(scan(folder), 0.25, 100),
        image,
        limit_mib=1024,
        reporter=Reporter(Console(file=io.StringIO())),
    )
    files = [*cache.training.files, *cache.validation.files][:num_images]
    rows = [*cache.training.images_nhwc, *cache.validation.images_nhwc][:num_images]
    served = _served_hashes(files, image, work)
    return [
        Comparison(file, hashlib.sha256(row.tobytes()).hexdigest(), *served[2 * index : 2 * index + 2])
        for index, (file, row) in enumerate(zip(files, rows, strict=True))
    ]


def _served_hashes(files: list[Path], image: ImageShape, work: Path) -> list[str]:
    """What the server's engine was handed: for each file over gRPC, then over HTTP."""
    write_bundle(work / "models", shape=image)
    record = work / "record"
    command = [sys.executable, "-m", "tests.parity.recording_server", str(record)]
    with serving("--models-dir", work / "models", command=command) as server:
        record.unlink()  # what the golden answers and the warm-up wrote
        client = Client(server.grpc_address)
        for file in files:
            client.classify(file.read_bytes())
            httpx.post(f"{server.http_url}/api/v1/classify", content=file.read_bytes()).raise_for_status()
        client.close()
    return record.read_text().split()


def main() -> None:
    folder, num_images = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as work:
        found = compare(folder, ImageShape(180, 180, 3), Path(work), num_images)
    num_equal = sum(comparison.is_equal for comparison in found)
    sys.stdout.write(f"{num_equal} of {len(found)} images: training cache, gRPC and HTTP equal byte for byte\n")
    sys.exit(num_equal != len(found))


if __name__ == "__main__":
    main()
