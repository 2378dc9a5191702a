"""What a user may say of an upstream, and what gRPC is told of it."""

from pathlib import Path

import pytest

from cnnsvc.engines.upstream import Upstream
from cnnsvc.errors import SettingError


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("grpc://fleet:8500", "dns:///fleet:8500"),
        ("grpcs://fleet.example:443", "dns:///fleet.example:443"),
        ("grpc://[::1]:8500", "dns:///[::1]:8500"),
        ("grpc://10.0.0.7:8500,10.0.0.8:8501", "ipv4:10.0.0.7:8500,10.0.0.8:8501"),
        ("grpc://[::1]:8500,[::2]:8500", "ipv6:[::1]:8500,[::2]:8500"),
    ],
)
def test_addresses(url: str, target: str) -> None:
    """A name is resolved to all of its addresses; addresses in numbers are used as they are."""
    assert Upstream(url).target == target


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("fleet:8500", "expected grpc:// or grpcs://"),
        ("http://fleet:8500", "expected grpc:// or grpcs://"),
        ("grpc://", "expected grpc:// or grpcs://"),
        ("grpc://fleet", "'fleet' is not HOST:PORT"),
        ("grpc://:8500", "':8500' is not HOST:PORT"),
        ("grpc://fleet:0", "'fleet:0' is not HOST:PORT"),
        ("grpc://fleet:99999", "'fleet:99999' is not HOST:PORT"),
        ("grpc://fleet:8500/path", "'fleet:8500/path' is not HOST:PORT"),
        ("grpc://me@fleet:8500", "'me@fleet:8500' is not HOST:PORT"),
        ("grpc://10.0.0.7:8500,", "'' is not HOST:PORT"),
        ("grpc://one:8500,two:8500", "several are addresses in numbers"),
        ("grpc://10.0.0.7:8500,[::1]:8500", "all IPv4 or all IPv6"),
        ("grpcs://10.0.0.7:8500,10.0.0.8:8500", "encrypted is one name"),
    ],
)
def test_what_is_no_address(url: str, reason: str) -> None:
    """It is refused before anything is asked, with what is allowed."""
    with pytest.raises(SettingError) as refused:
        Upstream(url)
    assert reason in str(refused.value)


def test_authorities_are_for_what_is_encrypted() -> None:
    """A file that would have no effect is refused."""
    with pytest.raises(SettingError, match="--upstream-ca needs"):
        Upstream("grpc://fleet:8500", ca=Path("ca.pem"))
