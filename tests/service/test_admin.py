"""What an operator may do, what it changes, and what is refused with which reason."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from cnnsvc.errors import ConflictError, Fault, InvalidError, NotFoundError
from service.service_state import Withdrawal
from tests.bundles import write_bundle
from tests.service.serving import Serving, build, falsify_golden_answers, started


@pytest_asyncio.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    """Three versions in the folder, the newest served."""
    for seed in range(3):
        write_bundle(tmp_path, seed=seed)
    serving = await started(tmp_path)
    yield serving
    await serving.close()


def _states(serving: Serving) -> list[str]:
    return [version.state for version in reversed(serving.admin.show("flowers").versions)]


async def test_a_version_is_loaded_and_unloaded(serving: Serving) -> None:
    """It is served beside what the policy wants, and gone again; the other versions stay as they were."""
    status = await serving.admin.load("flowers", 1)
    assert [(one.version, one.state, one.is_default) for one in status.versions] == [
        (3, "serving", True),
        (2, "available", False),
        (1, "serving", False),
    ]
    await serving.admin.unload("flowers", 1)
    assert _states(serving) == ["withdrawn", "available", "serving"]
    await serving.admin.load("flowers", 1)
    assert _states(serving) == ["serving", "available", "serving"]


async def test_what_cannot_be_loaded(serving: Serving, tmp_path: Path) -> None:
    """A version that is not there, one that is refused, a model that is not there."""
    falsify_golden_answers(tmp_path / "flowers" / "2")
    with pytest.raises(ConflictError, match="version 2 of model flowers is refused: openvino answers"):
        await serving.admin.load("flowers", 2)
    assert serving.admin.show("flowers").versions[1].fault is Fault.GOLDEN
    with pytest.raises(
        NotFoundError, match=r"version 9 of model flowers is not in the folder .* there are \[1, 2, 3\]"
    ):
        await serving.admin.load("flowers", 9)
    with pytest.raises(NotFoundError, match="model 'trees' is not there; there are flowers"):
        await serving.admin.load("trees", 1)


async def test_the_last_version_and_labelled_ones_stay(serving: Serving) -> None:
    """Nothing that would leave calls without an answer is done."""
    with pytest.raises(ConflictError, match="version 3 is the last of model flowers that serves"):
        await serving.admin.unload("flowers", 3)
    await serving.admin.load("flowers", 1)
    await serving.admin.label("flowers", "old", 1)
    with pytest.raises(ConflictError, match="has the labels old"):
        await serving.admin.unload("flowers", 1)
    with pytest.raises(ConflictError, match=r"version 2 of model flowers is not loaded; loaded are \[1, 3\]"):
        await serving.admin.unload("flowers", 2)


async def test_labels_move_only_onto_loaded_versions(serving: Serving) -> None:
    """A label keeps its version loaded, may be moved and deleted; one named stable makes the default."""
    with pytest.raises(ConflictError, match="version 2 of model flowers is not loaded"):
        await serving.admin.label("flowers", "canary", 2)
    with pytest.raises(InvalidError, match="label '7' is not allowed"):
        await serving.admin.label("flowers", "7", 3)
    with pytest.raises(InvalidError, match=r"label 'canary\\n' is not allowed"):
        await serving.admin.label("flowers", "canary\n", 3)
    await serving.admin.load("flowers", 1)
    await serving.admin.label("flowers", "stable", 1)
    assert serving.default() == 1
    assert serving.value("cnnsvc_model_label_version", model="flowers", label="stable") == 1
    await serving.admin.label("flowers", "stable", 3)
    assert serving.default() == 3
    await serving.admin.unlabel("flowers", "stable")
    assert serving.value("cnnsvc_model_label_version", model="flowers", label="stable") is None
    with pytest.raises(NotFoundError, match="has no label 'stable'; its labels are none"):
        await serving.admin.unlabel("flowers", "stable")


async def test_a_split_names_labels(serving: Serving) -> None:
    """Only labels that are there, with weights that are not all 0; a label in a split cannot be deleted."""
    await serving.admin.label("flowers", "stable", 3)
    for weights in ({"beta": 1}, {"stable": 0}, {"stable": -1}):
        with pytest.raises(InvalidError):
            await serving.admin.split("flowers", weights)
    assert (await serving.admin.split("flowers", {"stable": 1})).split == {"stable": 1}
    with pytest.raises(ConflictError, match="has a part in its split"):
        await serving.admin.unlabel("flowers", "stable")
    assert (await serving.admin.split("flowers", {})).split == {}


async def test_a_rollback_goes_to_the_version_before(serving: Serving) -> None:
    """Without a target to the newest older one, again and again, until there is none; it is loaded first."""
    assert [version.is_default for version in (await serving.admin.roll_back("flowers")).versions] == [
        *(False, True, False)
    ]
    assert _states(serving) == ["available", "serving", "withdrawn"]
    await serving.admin.roll_back("flowers")
    assert _states(serving) == ["serving", "withdrawn", "withdrawn"]
    with pytest.raises(ConflictError, match="no version to go back to from version 1"):
        await serving.admin.roll_back("flowers")
    assert serving.value("cnnsvc_model_rollbacks_total", model="flowers", cause="operator") == 2


async def test_a_rollback_to_a_version(serving: Serving) -> None:
    """Everything above the target is withdrawn, so that it stays the default; a later version goes live again."""
    await serving.admin.roll_back("flowers", 1)
    assert _states(serving) == ["serving", "withdrawn", "withdrawn"]
    with pytest.raises(NotFoundError, match="version 9 of model flowers is not there"):
        await serving.admin.roll_back("flowers", 9)
    with pytest.raises(ConflictError):
        await serving.admin.roll_back("flowers", 1)


async def test_a_rollback_moves_the_stable_label(serving: Serving) -> None:
    """With the label stable only its version is withdrawn; canaries above go on."""
    await serving.admin.load("flowers", 2)
    await serving.admin.load("flowers", 1)
    await serving.admin.label("flowers", "stable", 2)
    await serving.admin.label("flowers", "canary", 3)
    status = await serving.admin.roll_back("flowers", 1)
    assert status.labels == {"stable": 1, "canary": 3}
    assert (serving.default(), serving.served()) == (1, [1, 3])


async def test_the_last_two_versions_do_not_go_together(serving: Serving, tmp_path: Path) -> None:
    """A version that another worker has withdrawn does not count as one that is left."""
    await serving.admin.load("flowers", 1)
    other = build(tmp_path)
    serving.store.change(
        "flowers",
        lambda state: msgspec.structs.replace(
            state, withdrawn={3: Withdrawal("another worker", serving.rollout.fingerprint("flowers", 3))}
        ),
    )
    with pytest.raises(ConflictError, match="version 1 is the last of model flowers"):
        await serving.admin.unload("flowers", 1)
    await other.close()


async def test_a_load_that_fails_decides_nothing(serving: Serving, tmp_path: Path) -> None:
    """A version that was withdrawn and is refused stays as it was, after a restart too."""
    await serving.admin.load("flowers", 1)
    await serving.admin.unload("flowers", 1)
    before = serving.store.state
    (tmp_path / "flowers" / "1" / "model.onnx").write_bytes(b"")
    with pytest.raises(ConflictError, match="SHA-256"):
        await serving.admin.load("flowers", 1)
    assert serving.store.state == before


async def test_rollbacks_keep_to_the_policy(tmp_path: Path) -> None:
    """Without a target, no version that the policy leaves out."""
    for seed in range(3):
        write_bundle(tmp_path, seed=seed)
    serving = await started(tmp_path, "1,3")
    await serving.admin.roll_back("flowers")
    assert serving.default() == 1
    await serving.close()
