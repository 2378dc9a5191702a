"""`cnnsvc health`: asks a running server whether it is ready.

Containers run it every few seconds, so it imports little.
"""

import http.client
import json
import ssl
from pathlib import Path
from typing import Annotated, Final

import typer

from cnnsvc.errors import InvalidError, NotReadyError
from cnnsvc.options import variable_of

app = typer.Typer(add_completion=False)

_LIMIT_BYTES: Final = 64 * 1024


@app.command()
def health(
    host: Annotated[str, typer.Option(help="Address of the server.")] = "127.0.0.1",
    http_port: Annotated[
        int, typer.Option(help="TCP port of its HTTP door.", envvar=variable_of("http_port"), min=1, max=65535)
    ] = 8501,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="TCP port of its metrics, asked instead where it is given.",
            envvar=variable_of("metrics_port"),
            min=1,
            max=65535,
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            help="Its certificate, where it has one: no other is trusted.", envvar=variable_of("tls_certificate")
        ),
    ] = None,
    timeout_ms: Annotated[int, typer.Option(help="Longest wait for its answer, in milliseconds.", min=1)] = 3_000,
) -> None:
    """Say whether a running server is ready to classify; exit status 1 if it is not, or does not answer."""
    port = http_port if metrics_port is None else metrics_port
    reasons = unready_reasons(host, port, timeout_ms, tls_certificate)
    if reasons:
        raise NotReadyError(f"{host}:{port} is not ready: {'; '.join(reasons)}")
    typer.echo("ready")


def unready_reasons(host: str, http_port: int, timeout_ms: int, certificate: Path | None = None) -> list[str]:
    """What /readyz says is missing; [] is ready. Raises NotReadyError where cnnsvc does not answer."""
    connection = _connection(host, http_port, timeout_ms / 1000, certificate)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read(_LIMIT_BYTES)
    except OSError as error:
        raise NotReadyError(f"{host}:{http_port} does not answer: {error.strerror or error}") from None
    except http.client.HTTPException:
        raise NotReadyError(f"{host}:{http_port} does not answer in HTTP; is it another program?") from None
    finally:
        connection.close()
    return _reasons(body, f"{host}:{http_port} answers /readyz with status {response.status}")


def _connection(host: str, port: int, timeout_seconds: float, certificate: Path | None) -> http.client.HTTPConnection:
    """Raises InvalidError where the certificate cannot be read."""
    if certificate is None:
        return http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    try:
        context = ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise InvalidError(f"--tls-certificate {certificate} cannot be used: {error.strerror or error}") from None
    # Named for others, and asked here by an address; whoever has its key is the server all the same.
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=context)


def _reasons(body: bytes, answered: str) -> list[str]:
    """The reasons in a body such as {"ready": false, "reasons": ["no model is there to serve"]}."""
    try:
        answer = json.loads(body)
        is_ready, reasons = answer["ready"], [str(reason) for reason in answer["reasons"]]
    except (ValueError, KeyError, TypeError):
        raise NotReadyError(f"{answered}, and not as cnnsvc does; is it another program?") from None
    return [] if is_ready is True else reasons or ["no reason given"]
