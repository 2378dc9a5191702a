"""A whole new configuration of the models: what it changes, and that a wrong one changes nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cnnsvc.errors import CnnsvcError, ConflictError, InvalidError, NotFoundError
from service.reconfiguration import ModelConfig
from service.version_policy import ALL, VersionPolicy
from tests.bundles import write_bundle
from tests.service.serving import Serving, falsify_golden_answers, started


@pytest_asyncio.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    """Three versions in the folder, the newest served."""
    for seed in range(3):
        write_bundle(tmp_path, seed=seed)
    serving = await started(tmp_path)
    yield serving
    await serving.close()


def _only(*versions: int) -> VersionPolicy:
    return VersionPolicy(numbers=frozenset(versions))


def _serving(serving: Serving) -> list[int]:
    """Versions that are served for their own sake."""
    return [one.version for one in serving.admin.show("flowers").versions if one.state == "serving"]


async def test_policies_follow_each_other(serving: Serving, tmp_path: Path) -> None:
    """When the change is answered, what is wanted serves: older ones alone, all, some newest, those of the start."""
    for policy, versions, default in (
        (_only(1), [1], 1),
        (_only(1, 2), [2, 1], 2),
        (ALL, [3, 2, 1], 3),
        (VersionPolicy(num_latest=2), [3, 2], 3),
        (None, [3], 3),
    ):
        await serving.admin.configure([ModelConfig("flowers", policy)])
        assert (_serving(serving), serving.default()) == (versions, default)
        assert serving.admin.show("flowers").policy == str(policy or "latest:1")
    await serving.admin.configure([ModelConfig("flowers", _only(2))])
    write_bundle(tmp_path, seed=9)
    await serving.rollout.look()
    assert (_serving(serving), serving.default()) == ([2], 2)


async def test_labels_are_replaced(serving: Serving) -> None:
    """Those of the configuration hold, of versions that it names or that serve; others are gone."""
    config = ModelConfig("flowers", _only(1, 3), {"canary": 3, "stable": 1})
    await serving.admin.configure([config])
    assert (serving.admin.show("flowers").labels, serving.default()) == ({"canary": 3, "stable": 1}, 1)
    await serving.admin.split("flowers", {"canary": 1, "stable": 9})
    await serving.admin.configure([ModelConfig("flowers", _only(1, 3), {"canary": 1})])
    status = serving.admin.show("flowers")
    assert (status.labels, status.split, serving.default()) == ({"canary": 1}, {"canary": 1}, 3)


async def test_a_withdrawn_version_is_named_again(serving: Serving) -> None:
    """To name a version that was taken out of service is to ask for it."""
    await serving.admin.roll_back("flowers", 1)
    await serving.admin.configure([ModelConfig("flowers", _only(3))])
    assert serving.default() == 3


@pytest.mark.parametrize(
    ("configs", "kind", "words"),
    [
        ([], InvalidError, "leaves out flowers"),
        ([ModelConfig("flowers"), ModelConfig("trees")], InvalidError, "'trees' is not in the folder"),
        ([ModelConfig("flowers"), ModelConfig("flowers")], InvalidError, "'flowers' is configured twice"),
        ([ModelConfig("flowers", base_path="/elsewhere/flowers")], InvalidError, "models are served from one folder"),
        ([ModelConfig("flowers", _only(3, 7))], NotFoundError, r"version 7 .* there are \[1, 2, 3\]"),
        ([ModelConfig("flowers", _only(1, 2))], ConflictError, "version 2 of model flowers is refused"),
        ([ModelConfig("flowers", _only(1), {"old": 2})], ConflictError, "assign label to version 2 of model flowers"),
        ([ModelConfig("flowers", labels={"7": 3})], InvalidError, "label '7' is not allowed"),
    ],
)
async def test_a_wrong_configuration_changes_nothing(
    serving: Serving, tmp_path: Path, configs: list[ModelConfig], kind: type[CnnsvcError], words: str
) -> None:
    """Whatever is wrong with it, versions and labels stay as they were."""
    falsify_golden_answers(tmp_path / "flowers" / "2")
    await serving.admin.label("flowers", "canary", 3)
    with pytest.raises(kind, match=words):
        await serving.admin.configure(configs)
    await serving.rollout.look()
    assert (_serving(serving), serving.default()) == ([3], 3)
    assert (serving.admin.show("flowers").labels, serving.admin.show("flowers").policy) == ({"canary": 3}, "latest:1")


async def test_a_base_path_that_is_ours(serving: Serving, tmp_path: Path) -> None:
    """The folder in which the model lies may be named."""
    await serving.admin.configure([ModelConfig("flowers", ALL, base_path=f"{tmp_path}/./flowers/")])
    assert _serving(serving) == [3, 2, 1]
