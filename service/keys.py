"""What the doors are locked with: tokens and certificates, kept as fresh as their files."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from service.access import Access, read_tokens
from service.key_metrics import KeyMetrics
from service.reloaded import Reloaded
from service.settings import ServeSettings, read_public_scopes

if TYPE_CHECKING:
    import ssl

    import grpc

    from service.certificates import Credentials

_log = logging.getLogger("cnnsvc.keys")

_PERIOD_SECONDS: Final = 2.0
"""Polled and not watched: mounted secrets change by a link above them, which no notice of the file itself tells."""


@dataclass(frozen=True)
class Keys:
    access: Access | None = None
    """None: nobody needs a token, and there is no admin API."""
    certificates: "Reloaded[Credentials] | None" = None
    """None: what is said is not encrypted."""
    files: list[Reloaded[Any]] = field(default_factory=list)

    def http_context(self, *, asks_for_certificates: bool = True) -> "ssl.SSLContext | None":
        """None where nothing is encrypted."""
        if (certificates := self.certificates) is None:
            return None
        from service.certificates import http_context

        return http_context(lambda: certificates.current, asks_for_certificates=asks_for_certificates)

    def grpc_credentials(self) -> "grpc.ServerCredentials | None":
        """For one server; None where nothing is encrypted."""
        if (certificates := self.certificates) is None:
            return None
        from service.certificates import grpc_credentials

        return grpc_credentials(lambda: certificates.current)

    def refresh(self, metrics: KeyMetrics) -> None:
        for file in self.files:
            file.refresh()
        expiry_seconds = self.certificates.current.expiry_seconds if self.certificates else {}
        metrics.observe({file.what: file.is_refused for file in self.files}, expiry_seconds)


def open_keys(settings: ServeSettings) -> Keys:
    """Raises SettingError for a file that cannot be used."""
    files: list[Reloaded[Any]] = []
    access, certificates = None, None
    if (path := settings.tokens_file) is not None:
        tokens = Reloaded("tokens", [path], lambda: read_tokens(path))
        files.append(tokens)
        access = Access(lambda: tokens.current, read_public_scopes(settings.public_scopes))
    elif settings.public_scopes:
        _log.warning("--public-scopes has no effect: without --tokens-file everybody may do everything")
    if settings.tls_certificate is not None and settings.tls_key is not None:
        from service.certificates import watched_credentials  # its library is for those who encrypt

        certificates = watched_credentials(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
        files.append(certificates)
    return Keys(access, certificates, files)


async def keep_fresh(keys: Keys, metrics: KeyMetrics, period_seconds: float = _PERIOD_SECONDS) -> None:
    """Never ends."""
    while True:
        keys.refresh(metrics)
        await asyncio.sleep(period_seconds)
