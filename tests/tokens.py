"""Tokens for tests: one in a file for its caller, its hash in a file for the server."""

from dataclasses import dataclass
from pathlib import Path

from service.access import Scope, hash_of


@dataclass(frozen=True)
class TokenFiles:
    token: str
    token_file: Path
    """The caller's."""
    tokens_file: Path
    """The server's."""

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    @property
    def only_for_admin(self) -> tuple[str, ...]:
        """Flags of a server that lets everybody classify."""
        return ("--tokens-file", str(self.tokens_file), "--public-scopes", "classify,metrics")


def write_tokens(folder: Path, *scopes: Scope, name: str = "tester") -> TokenFiles:
    """A token that opens these scopes, all of them unless some are named, beside those that are there already."""
    token = f"token-of-{name}-in-tests"
    files = TokenFiles(token, folder / f"{name}.token", folder / "tokens.toml")
    files.token_file.write_text(f"{token}\n")
    with files.tokens_file.open("a") as file:
        file.write(f'[[tokens]]\nname = "{name}"\nscopes = {[str(scope) for scope in scopes or Scope]}\n')
        file.write(f'sha256 = "{hash_of(token)}"\n')
    return files
