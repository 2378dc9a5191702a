"""`cnnsvc classify`: flags to a classifier, files and an output."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cnnsvc.classification import Classifier
from cnnsvc.classify import classify_files, print_outcomes
from cnnsvc.engines.base import LocalEngineName
from cnnsvc.errors import InvalidError
from cnnsvc.identity import Identity
from cnnsvc.identity_settings import IdentitySettings
from cnnsvc.image_files import image_files
from cnnsvc.options import with_settings

app = typer.Typer(add_completion=False)


@app.command()
@with_settings(IdentitySettings)
def classify(
    settings: IdentitySettings,
    paths: Annotated[list[Path], typer.Argument(metavar="IMAGE|FOLDER...", help="Images, or folders of images.")],
    server: Annotated[str | None, typer.Option(help="HOST:PORT of a running server's gRPC door.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Version folder to classify with, without a server.")] = None,
    model: Annotated[str, typer.Option(help="Model of the server; default is its only one.")] = "",
    version: Annotated[int, typer.Option(help="Version of the model; 0 is its default.", min=0)] = 0,
    label: Annotated[str, typer.Option(help="Label of a version, such as stable; instead of --version.")] = "",
    top_k: Annotated[int | None, typer.Option(help="Classes to show for each image; default is 5 at most.")] = None,
    timeout_ms: Annotated[int, typer.Option(help="Longest wait for one answer, in milliseconds.", min=1)] = 30_000,
    engine: Annotated[LocalEngineName, typer.Option(help="With --bundle: the inference engine.")] = "auto",
    artifact: Annotated[str | None, typer.Option(help="With --bundle: its file to use, such as model.onnx.")] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            help="With --bundle: folder that remembers its fastest engine; default is the user's cache folder.",
            envvar="CNNSVC_CACHE_DIR",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values, one row a class.")] = False,
) -> None:
    """Classify images with a running server (127.0.0.1:8500 by default) or a bundle; exit status 1 if any failed."""
    if server is not None and bundle is not None:
        raise InvalidError("expected --server or --bundle, and not both")
    if as_json and as_csv:
        raise InvalidError("expected --json or --csv, and not both")
    files = image_files(paths)
    if bundle:
        classifier = _local(bundle, engine, artifact, cache_dir)
    else:
        classifier = _remote(server, model, version, label, timeout_ms, settings.identity())
    try:
        outcomes = classify_files(classifier, files, top_k)
        num_failed = print_outcomes(outcomes, len(files), "json" if as_json else "csv" if as_csv else "table")
    finally:
        classifier.close()
    if num_failed:
        sys.stderr.write(f"cnnsvc: {num_failed} of {len(files)} images failed\n")
        raise typer.Exit(1)


def _remote(
    server: str | None, model: str, version: int, label: str, timeout_ms: int, identity: Identity
) -> Classifier:
    from cnnsvc.client import Client

    address = server or "127.0.0.1:8500"
    client = Client(
        address,
        model=model,
        version=version,
        label=label,
        timeout_ms=timeout_ms,
        token=identity.token,
        tls=identity.tls,
    )
    client.get_model()  # an absent server or model is one error, not one for each image
    return client


def _local(bundle: Path, engine: LocalEngineName, artifact: str | None, cache_dir: Path | None) -> Classifier:
    from cnnsvc.engines.choice_cache import default_cache_dir
    from cnnsvc.local import NUM_THREADS, LocalClassifier
    from cnnsvc.model import ModelOptions

    return LocalClassifier(
        bundle, ModelOptions(engine, artifact, num_streams=NUM_THREADS, cache_dir=cache_dir or default_cache_dir())
    )
