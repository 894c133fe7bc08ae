"""A collector on loopback: takes OTLP over HTTP, decodes it with OpenTelemetry's own messages, and keeps it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATH = "/v1/traces"


@dataclass
class Collector:
    """What came, and what is answered."""

    port: int = 0
    status: int = 200
    location: str = ""
    spans: list[Span] = field(default_factory=list)
    about: list[dict[str, Any]] = field(default_factory=list)
    """The resource of each request."""
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    @property
    def turns(self) -> list[Span]:
        return [span for span in self.spans if not span.parent_span_id]

    def inside(self, turn: Span) -> dict[str, Span]:
        """Return the stages of a turn by name."""
        own = [span for span in self.spans if span.parent_span_id == turn.span_id]
        assert all(span.trace_id == turn.trace_id for span in own)
        return {span.name: span for span in own}

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers.append(dict(request.headers))
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": self.location} if self.location else {})
        sent = ExportTraceServiceRequest.FromString(body)
        for of_resource in sent.resource_spans:
            self.about.append(values(of_resource.resource.attributes))
            for of_scope in of_resource.scope_spans:
                self.spans.extend(of_scope.spans)
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")


@asynccontextmanager
async def collecting(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Collector, None]:
    """Collect while the block runs."""
    collector = Collector()
    application = web.Application()
    application.router.add_route("*", PATH, collector.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        collector.port = runner.addresses[0][1]
        yield collector
    finally:
        await runner.cleanup()


def values(attributes: Any) -> dict[str, Any]:
    """Return attributes as plain values."""
    return {one.key: _plain(one.value) for one in attributes}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    return None if kind is None else getattr(value, kind)
