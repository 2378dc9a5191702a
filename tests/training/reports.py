"""Report pages to look at, of networks that never were: scores are made up, TensorFlow is not needed."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnsvc.engines.base import Scores
from cnnsvc.engines.golden import write_golden
from cnnsvc.manifest import MANIFEST_FORMAT, Artifact, ImageShape, Manifest, Network
from tests.encoded import encode
from training.export.agreement import Agreement
from training.export.parity import Proof, baseline_of
from training.held_out import HeldOutResult, Overlap
from training.honest_scores import FittedScores
from training.inspection.findings import BadFile
from training.judgement import accuracy_of, judgement_of
from training.model_card import write_card
from training.report import REPORT_DIR
from training.report_page import PAGE_NAME, write_page
from training.trained import EpochRecord, Labelled, Trained

IMAGE = ImageShape(24, 32, 3)
HISTORY = [EpochRecord(epoch, 2 / epoch, epoch / 10, 2.5 / epoch, epoch / 12, 120.0, 3.5) for epoch in range(1, 8)]
AGREEMENTS = [
    Agreement("model.onnx", "openvino", "pixels", num_images=1000, num_correct=900, num_same=996, num_near_ties=3),
    Agreement("saved_model/classify", "tensorflow", "files", num_undecodable=1000),
]
HOSTILE_NAMES = [
    "<script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "</style><svg onload='window.hacked = 1'>",
    "it's {{ 7 * 7 }} & `${more}`",
    "וורד {% raw %}",
    "x" * 255,
]


def facts(class_names: list[str], **changes: Any) -> dict[str, Any]:
    """What training puts on record."""
    classes = {name: {"num_files": 40, "sha256": f"{index:064x}"} for index, name in enumerate(class_names)}
    recorded = {
        "settings": {"arch": None, "epochs": 7, "batch_size": 30, "deterministic": True},
        "device": "CPU, 2 cores",
        "precision": "float32",
        "python": "3.11.7",
        "packages": {"cnnsvc": "0.1.0", "keras": "3.15.1"},
        "data": {
            "folder": "flowers",
            "num_files": 1234,
            "num_training": 925,
            "num_validation": 309,
            "num_ignored": {".txt": 2},
            "classes": classes,
        },
        "inspection": {
            "exact_duplicates": 1001,
            "near_duplicate_groups": 2,
            "exact_conflicts": 3,
            "near_conflicts": 4,
            "wrong_endings": 5,
            "single_colour": 6,
            "tiny": 7,
            "imbalance": 3.25,
            "formats": {"JPEG": 1200, "PNG": 34},
            "left_out": ["rose/twice.jpg"],
        },
        "timings": {
            "inspection_seconds": 2.0,
            "decoding_seconds": 0.0,
            "training_seconds": 61.25,
            "export_seconds": 9.5,
        },
        "unreadable": [{"file": "rose/broken.jpg", "reason": "the image is empty (0 bytes)"}],
    }
    return recorded | changes


def finished(
    class_names: list[str],
    labels: list[int],
    *,
    history: list[EpochRecord] = HISTORY,
    best_epoch: int = 5,
    file_name: str = "photo {}.jpg",
    recorded: Mapping[str, Any] | None = None,
    scores: FittedScores | None = None,
) -> Trained:
    """A finished training on images of noise in data/, without its network, which a report does not touch."""
    random = np.random.default_rng(0)
    images_nhwc = random.integers(0, 256, (len(labels), IMAGE.height, IMAGE.width, 3), dtype=np.uint8)
    files = [Path("data", f"class {label}", file_name.format(row)) for row, label in enumerate(labels)]
    return Trained(
        name="flowers",
        network=None,
        network_name="26",
        notation="C: 16 16 32 32 D: 16R",
        class_names=class_names,
        image=IMAGE,
        validation=Labelled(files, images_nhwc, np.asarray(labels, np.int32), ["0" * 64] * len(labels)),
        calibration_nhwc=images_nhwc[:1],
        history=history,
        best_epoch=best_epoch,
        facts=dict(facts(class_names) if recorded is None else recorded),
        folder=Path("data"),
        scores=scores,
    )


def scores_for(predicted: list[int], num_classes: int, best_score: float = 0.7) -> Scores:
    """Float32 (N, K): the predicted class gets the best score, the others share the rest."""
    scores_nk = np.full((len(predicted), num_classes), (1 - best_score) / max(1, num_classes - 1), np.float32)
    scores_nk[np.arange(len(predicted)), predicted] = best_score
    return scores_nk


def result_of(
    class_names: list[str], labels: list[int], scores_nk: Scores, overlaps: list[Overlap], **changes: Any
) -> HeldOutResult:
    """What a test folder brought to light."""
    judgement = judgement_of(scores_nk, np.asarray(labels, np.int32), class_names)
    found = HeldOutResult(
        artifact="model.onnx",
        folder="later",
        num_files=len(labels) + 1,
        unreadable=[BadFile("rose/bad.jpg", "empty")],
        absent_classes=[],
        judgement=judgement,
        overlaps=overlaps,
        without_overlaps=accuracy_of(1, 2) if overlaps else None,
    )
    return dataclasses.replace(found, **changes)


def write_report_page(folder: Path, trained: Trained, scores_nk: Scores, tested: HeldOutResult | None = None) -> Path:
    """The page, and the model card beside it, in a bundle folder that has nothing else but golden images."""
    (folder / REPORT_DIR).mkdir()
    write_golden(folder, [("000_daisy.png", encode("PNG"))], {"model.onnx": scores_nk[:1]})
    artifact = Artifact("float32", 1000, 0.9, 0.996, 1e-6)
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        name=trained.name,
        version=0,
        created="2026-11-22T14:32:10+00:00",
        class_names=trained.class_names,
        image=IMAGE,
        pixels=2,
        network=Network(trained.network_name, trained.notation, 963829),
        artifacts={"model.onnx": artifact},
        files={},
        training=trained.facts,
        baseline=(baseline := baseline_of(scores_nk, np.zeros((len(scores_nk), 3)))),
    )
    proof = Proof(scores_nk, AGREEMENTS, baseline)
    write_page(folder, trained, proof, manifest, tested)
    write_card(folder, trained, proof, manifest, tested)
    return folder / REPORT_DIR / PAGE_NAME


def hostile_page(folder: Path, num_classes: int) -> Path:
    """A page whose names, of classes, files, folders and settings, are all attacks or far too long."""
    names = (HOSTILE_NAMES + [f"class {index}" for index in range(num_classes)])[:num_classes]
    labels = [index % num_classes for index in range(2 * num_classes)]
    attack = HOSTILE_NAMES[0]
    recorded = facts(
        names,
        settings={"arch": attack, attack: attack},
        device=attack,
        packages={attack: attack},
        unreadable=[{"file": attack + "y" * 200, "reason": attack}] * 300,
        more={attack: attack},
    )
    recorded["data"]["folder"] = attack
    recorded["inspection"] |= {"left_out": [attack] * 300, "formats": {attack: 3}}
    recorded["data"]["num_ignored"] = {attack: 3}
    trained = finished(names, labels, file_name="\u202egpj.exe\n\udcff<img src=x>" + "long" * 40, recorded=recorded)
    predicted = [(label + 1) % num_classes for label in labels[:num_classes]] + labels[num_classes:]
    scores_nk = scores_for(predicted, num_classes)
    overlap = Overlap(attack, '"><img src=x>', is_exact=False)
    tested = result_of(names, labels, scores_nk, [overlap] * 300, folder=attack, absent_classes=names)
    return write_report_page(folder, trained, scores_nk, tested)
