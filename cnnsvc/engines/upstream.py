"""Where another server infers instead of this one: what a user says of it, read and checked before anything is asked.

It loads no gRPC: settings are read by processes that call nobody.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from cnnsvc.errors import SettingError

DialectName = Literal["auto", "tfs", "oip"]
"""TensorFlow Serving's PredictionService, the Open Inference Protocol; auto asks which of them is spoken."""

SCHEMES: Final = ("grpc", "grpcs")
_EXAMPLE: Final = "grpc://10.0.0.7:8500"


@dataclass(frozen=True)
class Upstream:
    """A server, or several that are the same to us; raises SettingError for an address that is none."""

    url: str
    """grpc://HOST:PORT or grpcs://HOST:PORT, of addresses in numbers several with commas between them."""
    dialect: DialectName = "auto"
    model: str = ""
    """Its name there; "" is the bundle's."""
    version: int | None = None
    """Its version there; None is the bundle's, so that a swap here follows a swap there."""
    ca: Path | None = None
    """Authorities in PEM of its certificate; None are those that gRPC trusts."""
    token_file: Path | None = None

    def __post_init__(self) -> None:
        _ = self.target
        if self.ca is not None and not self.is_encrypted:
            raise SettingError(f"--upstream-ca needs an encrypted --upstream, grpcs://HOST:PORT; {self.url!r} came")

    @property
    def is_encrypted(self) -> bool:
        return self.url.startswith("grpcs://")

    @property
    def target(self) -> str:
        """As gRPC wants it: a name, all of whose addresses are used, or the addresses themselves."""
        scheme, _, rest = self.url.partition("://")
        if scheme not in SCHEMES or not rest:
            raise SettingError(f"--upstream is {self.url!r}; expected grpc:// or grpcs://, such as {_EXAMPLE}")
        places = [_checked(place, self.url) for place in rest.split(",")]
        if len(places) == 1:
            return f"dns:///{places[0]}"
        if scheme == "grpcs":  # gRPC checks a certificate against one name
            raise SettingError(f"--upstream is {self.url!r}; encrypted is one name, which may have several addresses")
        families = {_family(place) for place in places}
        if len(families) > 1 or None in families:
            raise SettingError(
                f"--upstream is {self.url!r}; several are addresses in numbers, all IPv4 or all IPv6; a name that has"
                " several addresses goes alone"
            )
        return f"ipv{families.pop()}:{','.join(places)}"


def _checked(place: str, url: str) -> str:
    try:
        parts = urlsplit(f"//{place}")
        is_place = parts.netloc == place and "@" not in place and bool(parts.hostname and parts.port)
    except ValueError:
        is_place = False
    if not is_place:
        raise SettingError(f"--upstream is {url!r}, in which {place!r} is not HOST:PORT; expected such as {_EXAMPLE}")
    return place


def _family(place: str) -> int | None:
    try:
        return ipaddress.ip_address(urlsplit(f"//{place}").hostname or "").version
    except ValueError:
        return None
