"""A webhook that really receives, and ticks of sensors with all that the daemon would give them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dagster as dg

from graph.deployment import Deployment

SECRET = "canary-7f3a"  # noqa: S105  a made-up one that must not be shown


class Receiver(HTTPServer):
    """A webhook on a free port of this machine; answers with ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.received = 200, list[tuple[str, dict[str, Any]]]()

    @property
    def url(self) -> str:
        """Its address, with a secret as real ones have."""
        return f"http://127.0.0.1:{self.server_port}/hooks/{SECRET}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the console."""


@contextmanager
def prepared_tick(
    deployment: Deployment, name: str, cursor: str | None = None
) -> Iterator[tuple[dg.SensorDefinition, dg.SensorEvaluationContext]]:
    """A sensor with all that the daemon would give it."""
    definitions = deployment.definitions
    sensor = definitions.resolve_sensor_def(name)
    resources = {key: (definitions.resources or {})[key] for key in ("home", "clock")}
    with dg.build_sensor_context(
        instance=deployment.instance,
        definitions=definitions,
        cursor=cursor,
        sensor_name=sensor.name,
        resources=resources,
    ) as context:
        yield sensor, context
