"""OpenTelemetry's spans of calls: one of the whole call, below it one a stage, from times that are taken anyway.

Loaded only where traces are asked for, since OpenTelemetry is an extra. How spans are sent is service.otlp's matter.
"""

import logging
import time
from collections.abc import Iterator, MutableMapping
from typing import Final

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, format_span_id, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cnnsvc.errors import Kind
from service.call_record import CallRecord, Outcome, address_of, header_values
from service.frontends.rpc_names import rpc_name
from service.frontends.status import grpc_status, http_status
from service.logs import bind_trace, current_request_id

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_HEADERS: Final = ("traceparent", "tracestate")
_LEAST_FAULT_STATUS: Final = 500
"""HTTP status from which on a failure is the server's: to callers' mistakes the conventions give no error status."""


class Traces:
    def __init__(self, processor: SpanProcessor, *, sample_percent: float, resource: dict[str, str]) -> None:
        """The processor gets the spans that have ended; `resource` is what is sent of this process."""
        self._provider = TracerProvider(
            # A caller that decided about its trace has decided about ours.
            sampler=ParentBased(TraceIdRatioBased(sample_percent / 100)),
            # Last, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES hold.
            resource=Resource(resource).merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        # It warns of each header of a caller that is no trace context, and nobody limits how many those are.
        logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
        self._tracer = self._provider.get_tracer("cnnsvc", resource["service.version"])

    def begin(self, record: CallRecord) -> Span:
        """A span that continues the caller's trace; from now on the trace is in all that this task logs."""
        parent = _PROPAGATOR.extract({name: header_values(record.source, name) for name in _HEADERS})
        name, attributes = _described(record)
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes, start_time=record.began_ns)
        context = span.get_span_context()
        bind_trace(format_trace_id(context.trace_id), format_span_id(context.span_id))
        return span

    def end(self, span: Span, record: CallRecord, outcome: Outcome) -> None:
        if not span.is_recording():
            return
        ended_ns = record.nanoseconds(time.monotonic())
        span.set_attribute("cnnsvc.images", len(record.images))
        if record.model:
            span.set_attributes({"cnnsvc.model": record.model, "cnnsvc.version": record.version})
        _set_status(span, record.protocol, outcome.code)
        parent = set_span_in_context(span)
        for name, began_ns, stage_ended_ns in _stages(record, ended_ns):
            self._tracer.start_span(name, parent, start_time=began_ns).end(stage_ended_ns)
        span.end(ended_ns)

    def close(self) -> None:
        """Sends what is left; it may take as long as the collector does."""
        self._provider.shutdown()


def _described(record: CallRecord) -> tuple[str, dict[str, str]]:
    """Name and attributes of the call as the semantic conventions for HTTP and for gRPC want them."""
    source = record.source
    attributes = {"cnnsvc.request_id": current_request_id(), "cnnsvc.method": record.method}
    if address := address_of(source):
        attributes["client.address"] = address
    if not isinstance(source, MutableMapping):
        name = rpc_name(record.method)
        return name, {**attributes, "rpc.system.name": "grpc", "rpc.method": name}
    method, path = str(source["method"]), str(source["path"])
    attributes |= {"http.request.method": method, "url.path": path, "url.scheme": str(source["scheme"])}
    if source.get("path_params"):  # names of models are not for the name of a span
        return method, attributes
    return f"{method} {path}", {**attributes, "http.route": path}


def _set_status(span: Span, protocol: str, code: str) -> None:
    kind = None if code == "ok" else Kind(code)
    if protocol == "grpc":
        span.set_attribute("rpc.response.status_code", grpc_status(kind).name if kind else "OK")
    else:
        span.set_attribute("http.response.status_code", http_status(kind).status if kind else 200)
    if kind:
        span.set_attribute("error.type", code)
        if http_status(kind).status >= _LEAST_FAULT_STATUS:
            span.set_status(Status(StatusCode.ERROR, code))


def _stages(record: CallRecord, ended_ns: int) -> Iterator[tuple[str, int, int]]:
    """Name, beginning and end of each: from the first image in it to the last one."""
    if not record.stages:
        return
    queued, taken = _span(record, "queued_at"), _span(record, "taken_at")
    decoded, begun, ended = _span(record, "decoded_at"), _span(record, "begun_at"), _span(record, "ended_at")
    yield "admit", record.began_ns, queued[0]
    yield "queue", queued[0], taken[1]
    yield "decode", taken[0], decoded[1]
    yield "inference", begun[0], ended[1]
    yield "rank", ended[1], ended_ns


def _span(record: CallRecord, moment: str) -> tuple[int, int]:
    """The first and the last of the images' moments, in nanoseconds since 1970."""
    moments: list[float] = [getattr(one, moment) for one in record.stages]
    return record.nanoseconds(min(moments)), record.nanoseconds(max(moments))
