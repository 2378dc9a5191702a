"""What the folder, the policy and operators' decisions make of what is served."""

import gc
import os
import shutil
import time
import weakref
from pathlib import Path

import pytest

from cnnsvc.errors import BundleError, ConflictError, Fault, NotFoundError, NotReadyError
from service.probation import ProbationLimits
from service.registry import Refusal
from tests.bundles import write_bundle
from tests.service.serving import Serving, build, falsify_golden_answers, started

pytestmark = pytest.mark.slow


async def test_the_newest_version_is_served(tmp_path: Path) -> None:
    """Of two versions the newer answers, by default and by number; the older is not loaded."""
    write_bundle(tmp_path)
    write_bundle(tmp_path, seed=1)
    serving = await started(tmp_path)
    registry = serving.registry
    assert registry.get("", 0).manifest.version == 2
    assert registry.get("flowers", 2) is registry.get("flowers", 0)
    with pytest.raises(NotFoundError, match=r"version 1 of model 'flowers' is not served; served are \[2\]"):
        registry.get("flowers", 1)
    assert registry.unready_reasons() == []
    await serving.close()


async def test_several_models_need_a_name(tmp_path: Path) -> None:
    """Each model is found by its name; a call without one is told the names."""
    write_bundle(tmp_path, "flowers")
    write_bundle(tmp_path, "trees")
    serving = await started(tmp_path)
    registry = serving.registry
    assert [served.manifest.name for served in registry.models()] == ["flowers", "trees"]
    assert registry.get("trees", 0).manifest.name == "trees"
    with pytest.raises(NotFoundError, match="several are served: flowers, trees"):
        registry.get("", 0)
    await serving.close()


async def test_a_version_that_fails_its_proof_gives_way_to_the_one_before(tmp_path: Path) -> None:
    """A newest version with wrong golden answers is refused; the one before serves and the service is ready."""
    write_bundle(tmp_path)
    falsify_golden_answers(write_bundle(tmp_path, seed=1))
    serving = await started(tmp_path)
    registry = serving.registry
    assert registry.get("flowers", 0).manifest.version == 1
    assert registry.unready_reasons() == []
    await serving.close()


async def test_a_model_without_a_good_version_makes_the_service_not_ready(tmp_path: Path) -> None:
    """The reason names the version and what is wrong with it."""
    falsify_golden_answers(write_bundle(tmp_path))
    serving = await started(tmp_path)
    registry = serving.registry
    (reason,) = registry.unready_reasons()
    assert "version 1 of model flowers is refused" in reason
    assert "golden images" in reason
    with pytest.raises(NotFoundError, match="served are none"):
        registry.get("flowers", 0)


async def test_no_model_is_not_ready(tmp_path: Path) -> None:
    """Before loading and with an empty folder the service is not ready, and says which it is."""
    serving = build(tmp_path)
    registry = serving.registry
    assert registry.unready_reasons() == ["models are still being loaded"]
    with pytest.raises(NotReadyError):
        registry.get("", 0)
    await serving.rollout.start()
    assert registry.unready_reasons() == ["no model is there to serve"]


async def test_a_single_bundle_that_is_refused_is_an_error(tmp_path: Path) -> None:
    """With one bundle asked for by path there is nothing to fall back to."""
    path = write_bundle(tmp_path)
    (path / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="SHA-256"):
        await build(tmp_path).loader.load_bundle(path)


async def test_loads_are_measured_with_their_outcome(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A version that is refused and one that is loaded are each counted and timed under the name of their model.

    Both are in the log with the same as fields, and readiness follows.
    """
    write_bundle(tmp_path)
    falsify_golden_answers(write_bundle(tmp_path, seed=1))
    serving = build(tmp_path, clock=time.monotonic)
    prometheus = serving.prometheus
    assert prometheus.get_sample_value("cnnsvc_ready") == 0
    with caplog.at_level("INFO"):
        await serving.rollout.start()
    assert prometheus.get_sample_value("cnnsvc_ready") == 1
    for outcome in ("loaded", "refused"):
        labels = {"model": "flowers", "outcome": outcome}
        assert prometheus.get_sample_value("cnnsvc_model_load_duration_seconds_count", labels) == 1
        seconds = prometheus.get_sample_value("cnnsvc_model_load_duration_seconds_sum", labels)
        assert seconds is not None
        assert 0 < seconds < 60
    refused, loaded, *trials = (vars(record) for record in caplog.records)
    assert (refused["levelname"], refused["model"], refused["version"]) == ("ERROR", "flowers", 2)
    chosen = next(trial for trial in trials if trial["is_chosen"])
    assert (loaded["levelname"], loaded["model"], loaded["version"]) == ("INFO", "flowers", 1)
    assert (loaded["engine"], loaded["artifact"]) == (chosen["engine"], chosen["artifact"])
    assert {trial["engine"] for trial in trials} == {"openvino"}
    await serving.close()


async def test_a_bundle_in_the_folder_of_another_is_refused(tmp_path: Path) -> None:
    """A copy under another name or number does not answer in the name of the one it was copied from."""
    write_bundle(tmp_path)
    shutil.copytree(tmp_path / "flowers" / "1", tmp_path / "flowers" / "5")
    shutil.copytree(tmp_path / "flowers" / "1", tmp_path / "trees" / "1")
    serving = await started(tmp_path)
    registry = serving.registry
    assert [(served.manifest.name, served.manifest.version) for served in registry.models()] == [("flowers", 1)]
    (reason,) = registry.unready_reasons()
    assert reason.endswith("its manifest says flowers version 1; expected trees version 1")
    await serving.close()


async def test_one_odd_bundle_does_not_keep_the_others_from_serving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong in one model's folder, even what nobody foresaw, the healthy model serves."""
    write_bundle(tmp_path, "flowers")
    odd = write_bundle(tmp_path, "odd")
    (odd / "manifest.json").unlink()
    (odd / "manifest.json").symlink_to(odd / "manifest.json")
    (tmp_path / "looping").symlink_to(tmp_path / "looping")
    serving = await started(tmp_path)
    registry = serving.registry
    assert [served.manifest.name for served in registry.models()] == ["flowers"]
    assert len(registry.unready_reasons()) == 1
    assert "version 1 of model odd is refused" in caplog.text
    await serving.close()


async def test_long_names_are_not_repeated(tmp_path: Path) -> None:
    """The error for an unknown model shows only the beginning of a name that is longer than any can be."""
    write_bundle(tmp_path)
    serving = await started(tmp_path)
    registry = serving.registry
    with pytest.raises(NotFoundError) as error:
        registry.get("m" * 20_000, 0)
    assert len(str(error.value)) < 200
    await serving.close()


async def test_a_new_version_takes_over_and_the_old_one_stands_by(tmp_path: Path) -> None:
    """A version that appears answers once it is loaded; the one before stays loaded as long as it is on probation."""
    now = [0.0]
    write_bundle(tmp_path)
    serving = await started(tmp_path, clock=lambda: now[0])
    write_bundle(tmp_path, seed=1)
    await serving.rollout.look()
    assert (serving.default(), serving.served()) == (2, [1, 2])
    assert serving.rollout.is_standby("flowers", 1)
    now[0] = 299.0
    await serving.rollbacks.check_probation()
    assert serving.served() == [1, 2]
    now[0] = 301.0
    await serving.rollbacks.check_probation()
    assert serving.served() == [2]
    await serving.close()
    assert serving.value("cnnsvc_queue_depth", model="flowers", version="1") is None
    assert serving.value("cnnsvc_queue_depth", model="flowers", version="2") == 0


@pytest.mark.slow
async def test_a_version_is_proven_in_a_process_of_its_own(tmp_path: Path) -> None:
    """While the service serves, a good version goes live and a wrong one is refused, both tried elsewhere first."""
    write_bundle(tmp_path)
    serving = await started(tmp_path, proves_apart=True)
    write_bundle(tmp_path, seed=1)
    await serving.rollout.look()
    assert serving.default() == 2
    falsify_golden_answers(write_bundle(tmp_path, seed=2))
    await serving.rollout.look()
    assert serving.default() == 2
    (refusal,) = serving.registry.refusals()
    assert (refusal.version, refusal.fault) == (3, Fault.GOLDEN)
    await serving.close()


async def test_a_refused_version_is_tried_again_when_it_changes_and_not_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A half-copied version is refused once, shown in metric and warnings, and goes live once it is whole."""
    write_bundle(tmp_path)
    serving = await started(tmp_path)
    path = write_bundle(tmp_path, seed=1)
    content = (path / "model.onnx").read_bytes()
    (path / "model.onnx").write_bytes(content[:100])
    for _ in range(3):
        await serving.rollout.look()
    assert caplog.text.count("version 2 of model flowers is refused") == 1
    assert serving.value("cnnsvc_model_refused", model="flowers", version="2", fault="hash") == 1
    assert "SHA-256" in serving.registry.warnings()[0]
    assert serving.registry.unready_reasons() == []
    (path / "model.onnx").write_bytes(content)
    await serving.rollout.look()
    assert serving.default() == 2
    assert serving.registry.warnings() == []
    assert serving.value("cnnsvc_model_refused", model="flowers", version="2", fault="hash") is None
    await serving.close()


@pytest.mark.parametrize("allowed", [False, True])
async def test_other_class_names_need_permission(tmp_path: Path, allowed: bool) -> None:
    """A version whose class names differ from the live one's is refused with the difference, unless that is allowed."""
    write_bundle(tmp_path)
    serving = await started(tmp_path, allow_class_change=allowed)
    write_bundle(tmp_path, class_names=["daisy", "rose", "violet"])
    await serving.rollout.look()
    assert serving.default() == (2 if allowed else 1)
    faults = [(refusal.fault, "+violet, -tulip" in refusal.reason) for refusal in serving.registry.refusals()]
    assert faults == ([] if allowed else [(Fault.CLASSES, True)])
    await serving.close()


async def test_a_folder_that_is_gone_unloads_nothing(tmp_path: Path) -> None:
    """Without its folder, or with an empty one, a model serves on; the trouble is told, and ends with it."""
    models_dir = tmp_path / "models"
    write_bundle(models_dir)
    serving = await started(models_dir)
    models_dir.rename(tmp_path / "elsewhere")
    await serving.rollout.look()
    assert serving.served() == [1]
    assert serving.value("cnnsvc_models_folder_readable") == 0
    assert "the folder of models cannot be read" in serving.registry.warnings()[0]
    models_dir.mkdir()
    await serving.rollout.look()
    assert "flowers cannot be read: it holds no version any more" in serving.registry.warnings()[0]
    assert (serving.served(), serving.registry.unready_reasons()) == ([1], [])
    models_dir.rmdir()
    (tmp_path / "elsewhere").rename(models_dir)
    await serving.rollout.look()
    assert (serving.served(), serving.registry.warnings()) == ([1], [])
    assert serving.value("cnnsvc_models_folder_readable") == 1
    await serving.close()


async def test_a_version_that_is_moved_away_gives_way_to_the_one_before(tmp_path: Path) -> None:
    """Deleting the newest version goes back to the one before it, which is loaded first."""
    write_bundle(tmp_path)
    path = write_bundle(tmp_path, seed=1)
    serving = await started(tmp_path)
    assert serving.served() == [2]
    shutil.rmtree(path)
    await serving.rollout.look()
    assert serving.default() == 1
    await serving.close()


async def test_a_live_version_whose_files_change_is_replaced_only_by_a_good_one(tmp_path: Path) -> None:
    """Damage to the files of what serves is told and changes nothing; whole files under the same number replace it."""
    path = write_bundle(tmp_path)
    serving = await started(tmp_path)
    before = serving.registry.get("flowers")
    content = (path / "model.onnx").read_bytes()
    (path / "model.onnx").write_bytes(b"")
    await serving.rollout.look()
    assert serving.registry.get("flowers") is before
    assert serving.registry.refusals()[0].fault is Fault.HASH
    (path / "model.onnx").write_bytes(content)
    await serving.rollout.look()
    assert serving.registry.get("flowers") is not before
    assert serving.registry.refusals() == []
    assert serving.value("cnnsvc_queue_depth", model="flowers", version="1") == 0
    await serving.close()


async def test_a_model_that_comes_later_and_is_bad_leaves_the_service_ready(tmp_path: Path) -> None:
    """Readiness is about the models of the start: whatever is added later cannot take the service out of rotation."""
    write_bundle(tmp_path)
    serving = await started(tmp_path)
    falsify_golden_answers(write_bundle(tmp_path, "trees"))
    await serving.rollout.look()
    assert serving.registry.unready_reasons() == []
    assert "version 1 of model trees is refused" in serving.registry.warnings()[0]
    await serving.close()


@pytest.mark.parametrize(
    ("versions", "served"), [("latest:2", [2, 3]), ("all", [1, 2, 3]), ("flowers=1,3 trees=9", [1, 3])]
)
async def test_policies(tmp_path: Path, versions: str, served: list[int]) -> None:
    """What the policy names is loaded, and the newest of it answers by default."""
    for seed in range(3):
        write_bundle(tmp_path, seed=seed)
    serving = await started(tmp_path, versions)
    assert (serving.served(), serving.default()) == (served, 3)
    await serving.close()


def _fail(serving: Serving, version: int, num_failed: int, num_answered: int) -> None:
    tally = serving.registry.get("flowers", version).tally
    tally.num_failed += num_failed
    tally.num_answered += num_answered


async def test_a_fresh_version_that_fails_is_rolled_back(tmp_path: Path) -> None:
    """Past the threshold the version before answers again, with the labels; the bad one stays out until it changes."""
    write_bundle(tmp_path)
    serving = await started(tmp_path)
    path = write_bundle(tmp_path, seed=1)
    await serving.rollout.look()
    await serving.admin.label("flowers", "canary", 2)
    _fail(serving, 2, num_failed=1, num_answered=19)
    await serving.rollbacks.check_probation()
    assert serving.default() == 2  # 5 % of 20 is the limit, not above it
    _fail(serving, 2, num_failed=1, num_answered=0)
    await serving.rollbacks.check_probation()
    assert (serving.default(), serving.served()) == (1, [1])
    assert serving.registry.get("flowers", label="canary").manifest.version == 1
    assert serving.value("cnnsvc_model_rollbacks_total", model="flowers", cause="errors") == 1
    await serving.rollout.look()
    assert serving.served() == [1]
    (path / "report.txt").write_text("changed")
    await serving.rollout.look()
    assert serving.default() == 2
    await serving.close()


async def test_the_last_good_version_is_never_rolled_back(tmp_path: Path) -> None:
    """Where there is nothing to go back to, a version that fails goes on."""
    write_bundle(tmp_path)
    serving = await started(tmp_path)
    _fail(serving, 1, num_failed=100, num_answered=0)
    await serving.rollbacks.check_probation()
    assert serving.default() == 1
    await serving.close()


async def test_a_rollback_to_a_version_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    """The version that fails stays where the one before cannot be loaded."""
    first = write_bundle(tmp_path)
    write_bundle(tmp_path, seed=1)
    serving = await started(tmp_path)
    falsify_golden_answers(first)
    await serving.rollout.refresh()
    with pytest.raises(ConflictError, match="no way back: version 1 of model flowers is refused"):
        await serving.rollbacks.roll_back("flowers", [2], 1, "a test", "operator")
    assert (serving.default(), serving.store.state.model("flowers").withdrawn) == (2, {})
    await serving.close()


async def test_an_old_version_is_not_on_probation(tmp_path: Path) -> None:
    """After its first minutes a version stays, whatever it fails."""
    now = [0.0]
    write_bundle(tmp_path)
    limits = ProbationLimits(seconds=10, max_error_share=0.05, min_images=20)
    serving = await started(tmp_path, clock=lambda: now[0], probation=limits)
    write_bundle(tmp_path, seed=1)
    await serving.rollout.look()
    now[0] = 11.0
    _fail(serving, 2, num_failed=100, num_answered=0)
    await serving.rollbacks.check_probation()
    assert serving.default() == 2
    await serving.close()


async def test_decisions_outlive_the_service(tmp_path: Path) -> None:
    """Labels, loads and withdrawals in the state folder hold for the next process, and for another worker at once."""
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    for seed in range(3):
        write_bundle(tmp_path / "models", seed=seed)
    one = await started(tmp_path / "models", state_dir=state_dir)
    other = await started(tmp_path / "models", state_dir=state_dir)
    await one.admin.load("flowers", 1)
    await one.admin.label("flowers", "stable", 1)
    assert other.store.refresh()
    await other.rollout.look()
    assert (other.default(), other.served()) == (1, [1, 3])
    later = await started(tmp_path / "models", state_dir=state_dir)
    assert (later.default(), later.served()) == (1, [1, 3])
    for serving in (one, other, later):
        await serving.close()


async def test_class_names_are_known_after_a_restart(tmp_path: Path) -> None:
    """A version with other class names is refused at a start too, where the state says what callers know."""
    (state_dir := tmp_path / "state").mkdir()
    write_bundle(tmp_path / "models")
    one = await started(tmp_path / "models", state_dir=state_dir)
    await one.close()
    write_bundle(tmp_path / "models", class_names=["daisy", "rose", "violet"])
    other = await started(tmp_path / "models", state_dir=state_dir)
    assert other.default() == 1
    assert [refusal.fault for refusal in other.registry.refusals()] == [Fault.CLASSES]
    await other.close()


async def test_what_stable_holds_back_does_not_take_its_place(tmp_path: Path) -> None:
    """A worker that has not loaded the stable version yet goes on with what it has, labels included."""
    (state_dir := tmp_path / "state").mkdir()
    for seed in range(3):
        write_bundle(tmp_path / "models", seed=seed)
    one = await started(tmp_path / "models", "1,3", state_dir=state_dir)
    await one.admin.label("flowers", "stable", 1)
    await one.admin.label("flowers", "prod", 1)
    other = await started(tmp_path / "models", "1,3", state_dir=state_dir)
    await one.admin.load("flowers", 2)
    await one.admin.label("flowers", "stable", 2)
    await one.admin.label("flowers", "prod", 2)
    other.store.refresh()
    other.rollout.reroute("flowers")
    assert (other.default(), other.registry.get("flowers", label="prod").manifest.version) == (1, 1)
    await other.rollout.look()
    assert (other.default(), other.registry.get("flowers", label="prod").manifest.version) == (2, 2)
    later = await started(tmp_path / "models", "1,3", state_dir=state_dir)
    assert later.default() == 2
    for serving in (one, other, later):
        await serving.close()


async def test_what_one_worker_tries_again_all_do(tmp_path: Path) -> None:
    """A version that was refused everywhere and is loaded by hand once it is good serves in every worker."""
    (state_dir := tmp_path / "state").mkdir()
    write_bundle(tmp_path / "models")
    workers = [await started(tmp_path / "models", state_dir=state_dir) for _ in range(2)]
    write_bundle(tmp_path / "models", seed=1)
    for worker in workers:
        await worker.rollout.refresh()
        mark = f"{worker.rollout.fingerprint('flowers', 2)}-0"
        worker.registry.refuse(Refusal("flowers", 2, Fault.TIMEOUT, "a machine without time", mark))
        await worker.rollout.look()
        assert worker.default() == 1
    await workers[0].admin.load("flowers", 2)
    workers[1].store.refresh()
    await workers[1].rollout.look()
    assert [worker.default() for worker in workers] == [2, 2]
    for worker in workers:
        await worker.close()


async def test_odd_names_in_the_folder(tmp_path: Path) -> None:
    """Files whose names are no text, and folders that are no models, keep nothing from serving."""
    path = write_bundle(tmp_path)
    (path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "flowers" / "20260102030405000000").mkdir()
    serving = await started(tmp_path)
    assert (serving.served(), serving.registry.unready_reasons(), serving.registry.warnings()) == ([1], [], [])
    await serving.close()


async def test_a_bad_model_that_is_deleted_makes_ready(tmp_path: Path) -> None:
    """What is not there any more is not waited for."""
    write_bundle(tmp_path)
    falsify_golden_answers(write_bundle(tmp_path, "trees"))
    serving = await started(tmp_path)
    assert len(serving.registry.unready_reasons()) == 1
    shutil.rmtree(tmp_path / "trees")
    await serving.rollout.look()
    assert (serving.registry.unready_reasons(), serving.registry.refusals()) == ([], [])
    await serving.close()


async def test_only_what_comes_while_serving_is_on_probation(tmp_path: Path) -> None:
    """A fault of the machine does not walk down the versions: neither the start's nor a rollback's target is judged."""
    for seed in range(2):
        write_bundle(tmp_path, seed=seed)
    serving = await started(tmp_path)
    _fail(serving, 2, num_failed=100, num_answered=0)
    await serving.rollbacks.check_probation()
    assert serving.default() == 2
    write_bundle(tmp_path, seed=2)
    await serving.rollout.look()
    for version in (3, 2):
        _fail(serving, version, num_failed=100, num_answered=0)
        await serving.rollbacks.check_probation()
        assert serving.default() == 2
    assert serving.value("cnnsvc_model_rollbacks_total", model="flowers", cause="errors") == 1
    await serving.close()


async def test_a_rollback_that_cannot_be_kept_holds_for_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the state folder full a bad version goes all the same; an operator is told that nothing was decided."""
    (state_dir := tmp_path / "state").mkdir()
    write_bundle(tmp_path / "models")
    serving = await started(tmp_path / "models", state_dir=state_dir)
    write_bundle(tmp_path / "models", seed=1)
    await serving.rollout.look()

    def no_space(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.service_state.write_atomically", no_space)
    with pytest.raises(NotReadyError, match=r"the decision cannot be kept in .*: .*No space left"):
        await serving.admin.label("flowers", "stable", 2)
    _fail(serving, 2, num_failed=100, num_answered=0)
    await serving.rollbacks.check_probation()
    assert serving.default() == 1
    serving.store.refresh()
    await serving.rollout.look()
    assert serving.default() == 1
    await serving.close()


async def test_a_replaced_version_leaves_nothing(tmp_path: Path) -> None:
    """The batcher of a version that another has replaced under its number is freed with its engine."""
    path = write_bundle(tmp_path)
    serving = await started(tmp_path)
    before = weakref.ref(serving.registry.get("flowers").batcher)
    (path / "note").write_text("changed")
    await serving.rollout.look()
    await serving.loader.close()
    gc.collect()
    assert before() is None
    serving.registry.close()
