"""`make image-rehearsal`: does the Dockerfile's steps in a debootstrap root, and runs the result as a container would.

It needs root and Debian's packages, and no container engine. What differs from the image: Python is Debian's own.
"""

import os
import shutil
import string
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from deploy.dockerfile import Stage, Step, context_files, needed_stages, read_stages
from deploy.image_root import Container, Root, copy_root, lend_network, make_base, missing_programs, num_bytes, run_in
from tests.bundles import write_bundle

ROOT: Final = Path(__file__).parent.parent
SBOM: Final = "/opt/cnnsvc/sbom.cdx.json"
_ASK: Final = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], open(sys.argv[2], "rb").read() if len(sys.argv) > 2 else None) as answer:
    print(answer.read().decode())
"""


@dataclass(frozen=True)
class Rehearsed:
    """What the container did; sizes are unpacked."""

    user_ids: list[int]
    classified_http: str
    classified_grpc: str
    health: str
    exit_status: int
    is_root_read_only: bool
    sbom: str
    base_bytes: int
    added_bytes: int


def main() -> None:
    if os.geteuid() != 0:
        raise SystemExit("image-rehearsal needs root (chroot and namespaces)")
    if packages := missing_programs():
        raise SystemExit(f"image-rehearsal needs: apt-get install {' '.join(packages)}")
    with tempfile.TemporaryDirectory(prefix="cnnsvc-image-") as folder:
        rehearsed = rehearse(Path(folder))
    say(f"HTTP: {rehearsed.classified_http.strip()}")
    say(f"gRPC: {rehearsed.classified_grpc.strip()}")
    say(f"health: {rehearsed.health.strip()}; user {rehearsed.user_ids[0]}; SIGTERM: status {rehearsed.exit_status}")
    base, added = rehearsed.base_bytes / 1e6, rehearsed.added_bytes / 1e6
    say(f"unpacked: {base:.0f} MB of base system and {added:.0f} MB that the Dockerfile adds: {base + added:.0f} MB")


def rehearse(folder: Path) -> Rehearsed:
    """Builds the image in the folder, serves a bundle with it and asks it everything a deployment would."""
    stages = needed_stages(read_stages((ROOT / "Dockerfile").read_text()))
    base, image = build(stages, folder)
    models_dir = folder / "models"
    image_file = write_bundle(models_dir) / "golden" / "0.png"
    last = {step.instruction: step for step in stages[-1].steps}
    words = [*last["ENTRYPOINT"].words, *last["CMD"].words]
    say(f"running {' '.join(words)} as {image.user}")
    container = Container(image, words, volume=(models_dir, "/models"), log=folder / "log")
    try:
        health = wait_until_healthy(container, last["HEALTHCHECK"])
        inside = f"/models/{image_file.relative_to(models_dir)}"
        return Rehearsed(
            user_ids=user_ids(container.pid),
            is_root_read_only=is_root_read_only(container.pid),
            sbom=container.run(["cat", SBOM]).stdout,
            classified_http=container.ask(_ASK, "http://127.0.0.1:8501/api/v1/classify", str(image_file)),
            classified_grpc=container.run(["cnnsvc", "classify", "--json", inside]).stdout,
            health=health,
            exit_status=container.stop(),
            base_bytes=num_bytes(base),
            added_bytes=num_bytes(image.path) - num_bytes(base),
        )
    finally:
        container.kill()


def build(stages: list[Stage], folder: Path) -> tuple[Path, Root]:
    """The base system and the root of the last stage."""
    (image,) = {stage.base for stage in stages}
    base = folder / "base"
    say(f"making a Debian root for {image}")
    make_base(image, base)
    roots: dict[str, Root] = {}
    for stage in stages:
        root = roots[stage.name] = Root(folder / f"stage-{stage.name}")
        copy_root(base, root.path)
        is_last = stage is stages[-1]
        lent = {} if is_last else lend_network(root)  # nothing of this machine gets into the image
        for step in stage.steps:
            say(f"{stage.name or 'image'}: {step.instruction} {step.text}")
            take(step, root, roots, lent)
    return base, roots[""]


def take(step: Step, root: Root, roots: dict[str, Root], lent: dict[str, str]) -> None:
    """One step; those that only describe the image are read when it runs."""
    match step.instruction:
        case "ENV":
            for word in step.words:
                name, _, value = word.partition("=")
                root.variables[name] = string.Template(value).substitute(root.variables)
        case "WORKDIR":
            root.folder = str(Path(root.folder) / step.text)
            root.inside("").mkdir(parents=True, exist_ok=True)
        case "USER":
            root.user = step.text
        case "RUN":
            run_in(root, ["/bin/sh", "-c", step.text], lent)
        case "COPY":
            *sources, target = step.words
            source_root = roots[step.flags["from"]].path if step.flags else None
            for source in sources:
                copy_into(root, source, target, source_root)


def copy_into(root: Root, source: str, target: str, source_root: Path | None) -> None:
    """COPY of one source, from another stage's root or from the build context: a folder's content, not itself."""
    if source_root is not None:
        copy_root(source_root / source.lstrip("/"), root.inside(target))
        return
    if not target.endswith("/"):
        raise ValueError(f"COPY {source} {target}: expected a target that ends with /")
    files = context_files(ROOT, (ROOT / ".dockerignore").read_text())
    wanted = [file for file in files if file.is_relative_to(source)]
    if not wanted:
        raise FileNotFoundError(f"COPY {source}: no such file in the build context; see .dockerignore")
    for file in wanted:
        is_folder = file != PurePath(source)
        goal = root.inside(target) / (file.relative_to(source) if is_folder else file.name)
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, goal)


def wait_until_healthy(container: Container, check: Step) -> str:
    """What the health check says when it first succeeds, 60 s at most."""
    started = time.monotonic()
    while True:
        asked = container.run(check.words)
        if asked.returncode == 0:
            say(f"healthy after {time.monotonic() - started:.1f} s")
            return asked.stdout
        if time.monotonic() - started > 60:
            raise RuntimeError(f"not healthy after 60 s: {asked.stderr}\n{container.log}")
        time.sleep(0.5)


def user_ids(pid: int) -> list[int]:
    """Real, effective, saved and file system user of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [int(word) for line in lines if line.startswith("Uid:") for word in line.split()[1:]]


def is_root_read_only(pid: int) -> bool:
    """Whether the process sees a root file system that nobody can write to."""
    mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    return all("ro" in options.split(",") for _, _, _, _, point, options, *_ in mounts if point == "/")


def say(text: str) -> None:
    sys.stdout.write(f"==> {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
