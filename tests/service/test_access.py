"""Who may do what."""

import datetime
from pathlib import Path

import pytest

from cnnsvc.errors import ForbiddenError, SettingError, UnauthenticatedError
from service.access import Access, Scope, Token, current_caller, hash_of, read_tokens
from tests.tokens import write_tokens

TODAY = datetime.date(2030, 6, 15)
TOKENS = [
    Token("camera", [Scope.CLASSIFY], hash_of("a"), TODAY),
    Token("prometheus", [Scope.METRICS], hash_of("b")),
    Token("late", [Scope.CLASSIFY], hash_of("c"), TODAY - datetime.timedelta(days=1)),
]


def _access(public: frozenset[Scope] = frozenset()) -> Access:
    return Access(lambda: TOKENS, public, today=lambda: TODAY)


@pytest.mark.parametrize("given", ["Bearer a", "bearer a", "BEARER  a "])
def test_a_token_opens_its_scopes(given: str) -> None:
    """On its last day too; from then on it is known who called."""
    _access().check(given, Scope.CLASSIFY)
    assert current_caller() == "camera"


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "a", "Basic a", "Bearera", "Token a"])
def test_no_token(given: str) -> None:
    """What is not shown as a bearer token is none."""
    with pytest.raises(UnauthenticatedError, match="no token came"):
        _access().check(given, Scope.CLASSIFY)


@pytest.mark.parametrize("given", ["Bearer A", "Bearer aa", "Bearer a a", f"Bearer {hash_of('a')}", "Bearer \udce9"])
def test_an_unknown_token(given: str) -> None:
    """Nor is the hash of a token a token; the answer does not repeat what came."""
    with pytest.raises(UnauthenticatedError, match="an unknown token came") as refused:
        _access().check(given, Scope.CLASSIFY)
    assert hash_of("a") not in str(refused.value)


def test_a_token_of_yesterday() -> None:
    """Past its last day it is refused, with that as the reason."""
    with pytest.raises(UnauthenticatedError, match="token late expired after 2030-06-14"):
        _access().check("Bearer c", Scope.CLASSIFY)


@pytest.mark.parametrize(("given", "scope"), [("a", Scope.ADMIN), ("a", Scope.METRICS), ("b", Scope.CLASSIFY)])
def test_a_token_for_something_else(given: str, scope: Scope) -> None:
    """It says what the token opens and what was expected."""
    with pytest.raises(ForbiddenError, match=f"opens (classify|metrics); expected one that opens {scope}"):
        _access().check(f"Bearer {given}", scope)


def test_a_public_scope_needs_no_token() -> None:
    """That scope alone."""
    access = _access(frozenset({Scope.METRICS}))
    access.check("", Scope.METRICS)
    with pytest.raises(UnauthenticatedError):
        access.check("", Scope.CLASSIFY)


def test_several_at_once_and_then_fewer() -> None:
    """Rotation: the old and the new token hold together, until the old one is taken away."""
    tokens = [Token("old", [Scope.CLASSIFY], hash_of("old")), Token("new", [Scope.CLASSIFY], hash_of("new"))]
    access = Access(lambda: tokens)
    for given in ("old", "new"):
        access.check(f"Bearer {given}", Scope.CLASSIFY)
    tokens = tokens[1:]
    access.check("Bearer new", Scope.CLASSIFY)
    with pytest.raises(UnauthenticatedError):
        access.check("Bearer old", Scope.CLASSIFY)


def test_a_file_of_tokens(tmp_path: Path) -> None:
    """Read back as they were written; an empty file lets nobody in."""
    files = write_tokens(tmp_path, Scope.ADMIN)
    write_tokens(tmp_path, Scope.CLASSIFY, name="camera")
    assert [(one.name, one.scopes) for one in read_tokens(files.tokens_file)] == [
        ("tester", [Scope.ADMIN]),
        ("camera", [Scope.CLASSIFY]),
    ]
    files.tokens_file.write_text("")
    assert read_tokens(files.tokens_file) == []


HASH = "0" * 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[tokens]", "cannot be read"),
        ("tokens = 3", "Expected `array`"),
        (f'[[tokens]]\nname = "a b"\nscopes = ["admin"]\nsha256 = "{HASH}"', "matching regex"),
        (f'[[tokens]]\nname = "a"\nscopes = []\nsha256 = "{HASH}"', "length >= 1"),
        (f'[[tokens]]\nname = "a"\nscopes = ["root"]\nsha256 = "{HASH}"', "'root'"),
        ('[[tokens]]\nname = "a"\nscopes = ["admin"]\nsha256 = "0"', "matching regex"),
        (f'[[tokens]]\nname = "a"\nscopes = ["admin"]\nsha256 = "{HASH}"\nexpires = "soon"', "ISO8601|date"),
        (f'[[tokens]]\nname = "a"\nscopes = ["admin"]\nsha256 = "{HASH}"\ntoken = "x"', "unknown field `token`"),
        (f'[[tokens]]\nname = "a"\nscopes = ["admin"]\nsha256 = "{HASH}"\n' * 2, "several tokens named a"),
        ("\xff", "cannot be read"),
        ("tokens = " + "[" * 5_000, "cannot be read"),
        ("tokens = " + "1" * 5_000, "cannot be read"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    """Whatever is wrong with it, it is refused as a whole and the reason said."""
    (tmp_path / "tokens.toml").write_text(text, encoding="latin-1")
    with pytest.raises(SettingError, match=said):
        read_tokens(tmp_path / "tokens.toml")


def test_an_absent_file(tmp_path: Path) -> None:
    """A service that was to ask for tokens does not start without them."""
    with pytest.raises(SettingError, match=r"--tokens-file .* cannot be read"):
        read_tokens(tmp_path / "tokens.toml")
