"""Takes traces to a collector by OpenTelemetry's own libraries, which are the extra voicebot[traces]."""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from voicebot import __version__
from voicebot.config.traces import TracesSettings
from voicebot.interfaces.traces.spans import TurnTrace

_log = logging.getLogger(__name__)
_MOST_WAITING: Final = 1024
"""Spans; a turn has five or six."""
_BATCH: Final = 256
_EVERY_MS: Final = 1000
_DELIVERY_S: Final = 10.0
"""All tries to deliver one batch; then it is lost."""
_LARGEST_HEADERS: Final = 65_536
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)")

# It has lines for each try; what is worth one is logged here.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


class OtlpExport:
    """Traces to one collector, by OTLP over HTTP. Raises OSError and ValueError for files that can't be used.

    What can't be delivered is lost, and of what waits the oldest once there are 1024 spans.
    """

    def __init__(self, settings: TracesSettings, delivery_s: float = _DELIVERY_S) -> None:
        headers = _read_headers(_path(settings.headers_file)) if settings.headers_file else {}
        ca = str(_path(settings.ca)) if settings.ca else None
        if ca is not None:
            ssl.create_default_context(cafile=ca)  # which says at once whether it is one
        self._delivery = _Delivery(settings.endpoint, headers, ca, delivery_s)
        about = {"service.name": settings.name, "service.version": __version__, "host.name": socket.gethostname()}
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource(about), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._delivery,
                max_queue_size=_MOST_WAITING,
                schedule_delay_millis=_EVERY_MS,
                max_export_batch_size=_BATCH,
            )
        )
        self._tracer = self._provider.get_tracer("voicebot", __version__)

    def send(self, trace: TurnTrace) -> None:
        """Take one to be sent by the thread that does. Does not block."""
        whole = trace.whole
        root = self._tracer.start_span(
            whole.name, Context(), attributes=whole.attributes, start_time=whole.begin_ns, record_exception=False
        )
        for name, at_ns in trace.marks_ns.items():
            root.add_event(name, timestamp=at_ns)
        if trace.error is not None:
            root.set_status(Status(StatusCode.ERROR, trace.error))
        inside = set_span_in_context(root, Context())
        for stage in trace.stages:
            span = self._tracer.start_span(
                stage.name, inside, attributes=stage.attributes, start_time=stage.begin_ns, record_exception=False
            )
            span.end(stage.end_ns)
        root.end(whole.end_ns)

    def status(self) -> Mapping[str, Any]:
        """Return what has become of the spans."""
        return {"endpoint": self._delivery.endpoint, "sent": self._delivery.sent, "lost": self._delivery.lost}

    def close(self) -> None:
        """Send what waits, and end. Blocks for as long as the collector lets it."""
        self._provider.shutdown()


class _Delivery(SpanExporter):
    """Tells once that the collector takes nothing, and once that it does again, however often it is tried."""

    def __init__(self, endpoint: str, headers: dict[str, str], ca: str | None, delivery_s: float) -> None:
        self.endpoint = endpoint
        self.sent = 0
        self.lost = 0
        self._failing = False
        self._session = _Session()
        self._exporter = OTLPSpanExporter(
            endpoint=endpoint,
            certificate_file=ca,
            headers=headers,
            timeout=delivery_s,
            compression=Compression.NoCompression,
            session=self._session,
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Deliver a batch."""
        self._session.answer = "no answer"
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise, these spans are lost
            result, self._session.answer = SpanExportResult.FAILURE, str(error)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
            if self._failing:
                _log.warning("the collector at %s takes traces again", self.endpoint)
        else:
            self.lost += len(spans)
            if not self._failing:
                _log.warning(
                    "traces are lost: the collector at %s takes none (%s)", self.endpoint, self._session.answer
                )
        self._failing = result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        """Give up what is being delivered."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class _Session(requests.Session):
    """Leads nowhere else than it is told, by no proxy and no redirection, and reads of an answer the head alone."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.answer = ""

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # noqa: ANN401 - as it is there
        """Send it, and remember what is answered. Raises RequestException."""
        answer = super().send(request, **how | {"stream": True, "allow_redirects": False})
        answer.close()
        self.answer = f"HTTP {answer.status_code} {answer.reason}"
        if answer.is_redirect:  # which the exporter would take for success
            raise requests.TooManyRedirects(self.answer)
        return answer


def _read_headers(path: Path) -> dict[str, str]:
    """Read a line "name: value" for each. Raises OSError and ValueError, which does not say what is in the file."""
    with path.open(encoding="ascii", errors="replace") as file:
        lines = file.read(_LARGEST_HEADERS).splitlines()
    headers = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            if (found := _HEADER.fullmatch(line.strip())) is None:
                raise ValueError(f"line {number} of {path} is no header, name: value")
            headers[found[1]] = found[2]
    return headers


def _path(name: str) -> Path:
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), Path(name).expanduser())
