"""Which versions of a model are to be served, of those that lie in its folder: pure, no clock, no disk."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cnnsvc.errors import SettingError


@dataclass(frozen=True)
class VersionPolicy:
    """The newest so many, or the numbered ones, or all."""

    num_latest: int | None = None
    numbers: frozenset[int] | None = None

    def choose(self, versions: Collection[int]) -> list[int]:
        """Of versions that may be served, those that are to be, newest first."""
        newest_first = sorted(versions, reverse=True)
        if self.numbers is not None:
            return [version for version in newest_first if version in self.numbers]
        return newest_first if self.num_latest is None else newest_first[: self.num_latest]

    def __str__(self) -> str:
        if self.numbers is not None:
            return ",".join(map(str, sorted(self.numbers)))
        return "all" if self.num_latest is None else f"latest:{self.num_latest}"


ALL = VersionPolicy()
LATEST = VersionPolicy(num_latest=1)


@dataclass(frozen=True)
class Policies:
    """The policy of each model."""

    default: VersionPolicy = LATEST
    by_model: Mapping[str, VersionPolicy] = field(default_factory=dict)

    def of(self, model: str) -> VersionPolicy:
        return self.by_model.get(model, self.default)


def read_policies(text: str) -> Policies:
    """Of words such as `latest:2 flowers=all trees=3,5`; one without a name holds for all others.

    Raises SettingError.
    """
    default, by_model = None, {}
    for word in text.split():
        name, is_named, policy = word.rpartition("=")
        if not is_named and default is None:
            default = read_policy(policy, word)
        elif is_named and name and name not in by_model:
            by_model[name] = read_policy(policy, word)
        else:
            raise SettingError(f"version policy {word!r}: there is one already for the same models, or no name")
    return Policies(default or LATEST, by_model)


def read_policy(policy: str, word: str = "") -> VersionPolicy:
    """As VersionPolicy writes itself; `word` is what holds it. Raises SettingError."""
    if policy == "all":
        return ALL
    number = policy.removeprefix("latest:")
    if number != policy:
        if _is_number(number):
            return VersionPolicy(num_latest=int(number))
    elif all(map(_is_number, policy.split(","))):
        return VersionPolicy(numbers=frozenset(map(int, policy.split(","))))
    raise SettingError(
        f"version policy {word or policy!r} is not one; expected latest:N, all, or numbers such as 3,5, after MODEL="
        " where it is for one model"
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and not text.startswith("0") and len(text) <= 19


def wanted_versions(policy: VersionPolicy, servable: Collection[int], pinned: Sequence[int]) -> list[int]:
    """Newest first: those of the policy and those pinned by a label or by hand, of the servable ones."""
    return sorted({*policy.choose(servable), *(set(pinned) & set(servable))}, reverse=True)
