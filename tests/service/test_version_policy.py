"""Policies are read from one line and choose versions."""

import pytest

from cnnsvc.errors import SettingError
from service.version_policy import ALL, LATEST, VersionPolicy, read_policies, read_policy, wanted_versions


def test_policies_by_model() -> None:
    """A policy without a name holds for all models that have none of their own."""
    policies = read_policies("flowers=all latest:2 trees=5,3")
    assert policies.of("flowers") == ALL
    assert policies.of("trees") == VersionPolicy(numbers=frozenset({3, 5}))
    assert policies.of("cars") == VersionPolicy(num_latest=2)
    assert read_policies("flowers=all").of("cars") == LATEST
    assert [str(policies.of(name)) for name in ("flowers", "trees", "cars")] == ["all", "3,5", "latest:2"]


@pytest.mark.parametrize(
    "text", ["newest", "latest:", "latest:0", "latest:-1", "3,", "03", "all all", "=all", "a=all a=2", "3;5", "٣"]
)
def test_what_is_no_policy(text: str) -> None:
    """The error repeats the word and says what is allowed."""
    with pytest.raises(SettingError, match="version policy"):
        read_policies(text)


def test_chosen_versions() -> None:
    """Newest first; what is not servable is not chosen, be it pinned."""
    assert VersionPolicy(num_latest=2).choose([3, 10, 2]) == [10, 3]
    assert VersionPolicy(numbers=frozenset({2, 9})).choose([3, 10, 2]) == [2]
    assert ALL.choose([3, 10, 2]) == [10, 3, 2]
    assert wanted_versions(LATEST, {1, 2, 3}, pinned=[1, 7]) == [3, 1]


@pytest.mark.parametrize(
    "policy",
    [ALL, LATEST, VersionPolicy(num_latest=7), VersionPolicy(numbers=frozenset({3, 2**63 - 1}))],
)
def test_a_policy_is_read_as_it_writes_itself(policy: VersionPolicy) -> None:
    """What is kept in the state of the service means the same when it is read, for the greatest version too."""
    assert read_policy(str(policy)) == policy
