"""The channel to an upstream: balancing, health, retries and their end, all of it gRPC's own; its failures as ours."""

import json
import logging
import threading
from typing import Any, Final, Protocol

import grpc

from cnnsvc.engines.upstream import Upstream
from cnnsvc.errors import CnnsvcError, EngineError, LateError, NotReadyError, OverloadedError
from cnnsvc.identity import Identity, Tls
from cnnsvc.retry_info import retry_after_seconds
from cnnsvc.token_file import read_token

_MESSAGE_LIMIT_BYTES: Final = 32 * 1024 * 1024

_SERVICE_CONFIG: Final = {
    # Calls go to every address in turn, but to none that cannot be reached or says that it does not serve; one without
    # the health service counts as serving.
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [
        {
            "name": [{}],
            # To infer twice does no harm. CANCELLED is what gRPC says of calls that meet a server's stop.
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
    # The circuit breaker: a failure takes one of ten tokens, an answer gives back a tenth; with half of them gone
    # nothing is tried again, so that an upstream in trouble does not get three times its load.
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}

_OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT_BYTES),
    ("grpc.per_rpc_retry_buffer_size", _MESSAGE_LIMIT_BYTES),
    # Of its own: a shared one would have a new model wait for an address that an old one has just given up.
    ("grpc.use_local_subchannel_pool", 1),
    # What comes back is noticed within five seconds; so long an address that does not answer is waited for too.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # A server that vanished without a word is noticed five seconds after something was sent to it. Silent ones are
    # asked no more often than gRPC's servers allow by default.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 5_000),
]

_AWAY: Final = {
    grpc.StatusCode.UNAVAILABLE: "cannot be reached",
    grpc.StatusCode.CANCELLED: "ended the call",
    grpc.StatusCode.NOT_FOUND: "does not have this model version",
    grpc.StatusCode.UNAUTHENTICATED: "does not know this server",
    grpc.StatusCode.PERMISSION_DENIED: "does not let this server in",
}

_CLOSING_SECONDS: Final = 1.0

_log = logging.getLogger("cnnsvc.engines")


class Message(Protocol):
    """A class of protobuf messages."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802  # protobuf's name

    @classmethod
    def FromString(cls, data: bytes, /) -> Any: ...  # noqa: N802  # protobuf's name


class Method:
    """One method of the upstream, to be called from any thread."""

    def __init__(self, channel: "UpstreamChannel", path: str, request: type[Message], response: type[Message]) -> None:
        self._channel = channel
        self._call = channel.grpc_channel.unary_unary(
            path, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )

    def __call__(self, request: Message, timeout_seconds: float) -> Any:
        """The response. Raises NotReadyError, OverloadedError, LateError or EngineError."""
        try:
            return self._call(request, timeout=timeout_seconds, metadata=self._channel.metadata)
        except grpc.RpcError as error:
            raise self._channel.error_of(error) from None

    def is_offered(self, request: Message, timeout_seconds: float) -> bool:
        """Whether the upstream knows the method, whatever else it says. Raises as a call where it says nothing."""
        try:
            self._call(request, timeout=timeout_seconds, metadata=self._channel.metadata)
        except grpc.RpcError as error:
            if _code(error) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise self._channel.error_of(error) from None
            return _code(error) is not grpc.StatusCode.UNIMPLEMENTED
        return True


class UpstreamChannel:
    def __init__(self, upstream: Upstream) -> None:
        """Raises InvalidError for a file that cannot be read."""
        token = read_token(upstream.token_file) if upstream.token_file else ""
        identity = Identity(token, Tls(upstream.ca) if upstream.is_encrypted else None)
        self._name = f"the upstream {upstream.url}"
        self.metadata = identity.metadata
        self.tells_details = True
        """Whether errors say what gRPC and the upstream say: good for operators, and none of a caller's business."""
        self._is_away = False
        self.grpc_channel = identity.channel(grpc, upstream.target, _OPTIONS)
        self.grpc_channel.subscribe(self._notice)

    @property
    def trouble(self) -> str:
        """That no address can be reached, or all say that they do not serve; "" where one does."""
        return f"{self._name} cannot be reached, or is not ready" if self._is_away else ""

    def close(self) -> None:
        """Ends the connection a little later; nothing may be called any more.

        gRPC's thread that watches the channel looks every 0.2 s whether it is still wanted, and fails with a traceback
        where the channel is closed just then (grpcio 1.85).
        """
        self.grpc_channel.unsubscribe(self._notice)
        closing = threading.Timer(_CLOSING_SECONDS, self.grpc_channel.close)
        closing.daemon = True
        closing.start()

    def error_of(self, error: Any) -> CnnsvcError:
        """A grpc.RpcError, whose concrete classes alone have a code, as one of ours."""
        code, details = _code(error), error.details() or ""
        told = f": {details}" if self.tells_details and details else ""
        if code in _AWAY:
            return NotReadyError(f"{self._name} {_AWAY[code]}{told}")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return LateError(f"{self._name} gave no answer before the deadline{told}")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" not in details:
            seconds = retry_after_seconds(error.trailing_metadata())
            overloaded = OverloadedError(f"{self._name} is overloaded{told}")
            overloaded.retry_after_seconds = overloaded.retry_after_seconds if seconds is None else seconds
            return overloaded
        _log.warning("%s answers %s: %s", self._name, code.name, details)
        return EngineError(f"{self._name} answers {code.name}{told}")

    def _notice(self, state: grpc.ChannelConnectivity) -> None:
        """Once it is lost it stays so until a connection is made: attempts to make one change nothing."""
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            self._is_away = True
        elif state is grpc.ChannelConnectivity.READY:
            self._is_away = False


def _code(error: Any) -> grpc.StatusCode:
    found: grpc.StatusCode = error.code()
    return found
