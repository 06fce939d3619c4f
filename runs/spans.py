"""Spans as OpenTelemetry's SDK sends them. The one module that imports it: only where traces are to be sent."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import requests
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from runs.traceparents import Place
from runs.tracing import Span

log = logging.getLogger(__name__)

SERVICE: Final = "orchestrator"
# How long a process that ends waits for its last spans to be sent.
FLUSH_SECONDS: Final = 2.0
# They would write a line for each batch that a collector did not take, and for each span that is dropped.
_LOUD: Final = ("opentelemetry.exporter.otlp", "opentelemetry.sdk._shared_internal")
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND: Final = timedelta(microseconds=1)
_KINDS: Final = {"run": SpanKind.CONSUMER, "call": SpanKind.CLIENT, "inside": SpanKind.INTERNAL}


class Spans:
    """Takes the spans of one process: keeps a bounded number of them and sends them in a thread of its own.

    Where, how many and which: the SDK's own variables say. ``write`` is for any thread, and never waits.
    """

    def __init__(self, exporter: SpanExporter | None = None, *, environment: Mapping[str, str]) -> None:
        self._ids = _Ids()
        # A name of the operator's own, which the SDK reads, comes first.
        named = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {"service.name": SERVICE})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._exporter = _Patient(exporter or _exporter())
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(SERVICE)
        self._ending: threading.Thread | None = None

    def takes(self, trace_id: int) -> bool:
        """Whether a trace is among those that are sent: ``OTEL_TRACES_SAMPLER`` may leave some out."""
        return self._provider.sampler.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE

    def write(self, span: Span) -> None:
        """Have a span of a trace that is taken be sent, some time later."""
        self._ids.give(span.place)
        parent = NonRecordingSpan(_context(Place(span.place.trace, span.parent))) if span.parent else None
        made = self._tracer.start_span(
            span.name,
            # One of our own: whatever is current here has nothing to do with it.
            context=trace.set_span_in_context(parent, Context()) if parent else Context(),
            kind=_KINDS[span.kind],
            attributes=dict(span.attributes),
            links=[Link(_context(link, is_remote=True)) for link in span.links],
            start_time=_nanoseconds(span.begun),
        )
        if span.error is not None:
            made.set_status(Status(StatusCode.ERROR, span.error))
        elif span.ok:
            made.set_status(Status(StatusCode.OK))
        made.end(max(_nanoseconds(span.begun), _nanoseconds(span.ended)))

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send what waits, for so long at most; a collector that is away is not waited for at all."""
        if self._exporter.is_away or (self._ending is not None and self._ending.is_alive()):
            return
        # The SDK's own call takes a time limit, and does not keep it.
        self._ending = threading.Thread(target=self._provider.force_flush, name="spans-flush", daemon=True)
        self._ending.start()
        self._ending.join(seconds)

    def close(self) -> None:
        """Send what waits, as ``flush`` does, and end the thread."""
        self.flush()
        ending = threading.Thread(target=self._provider.shutdown, name="spans-close", daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)


class _Ids(IdGenerator):
    """Gives the ids that were made from those of runs, in the thread that asks."""

    def __init__(self) -> None:
        self._local = threading.local()

    def give(self, place: Place) -> None:
        self._local.place = place

    def generate_trace_id(self) -> int:
        return self._place.trace

    def generate_span_id(self) -> int:
        return self._place.span

    @property
    def _place(self) -> Place:
        found: Place = self._local.place
        return found


class _Patient(SpanExporter):
    """Sends through another exporter; says once when that fails, and once when it is well again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            log.debug("Spans: %s", type(error).__name__)
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self.is_away:
            log.warning(
                "Traces cannot be sent: the collector is away or refuses them; they are dropped until it takes them"
            )
        elif self.is_away and not failed:
            log.warning("Traces are sent again")
        self.is_away = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _exporter() -> SpanExporter:
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    session = requests.Session()
    # No proxy, password file or certificates that variables for other programs name.
    session.trust_env = False
    return OTLPSpanExporter(session=session)


def _context(place: Place, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(place.trace, place.span, is_remote=is_remote, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * 1_000
