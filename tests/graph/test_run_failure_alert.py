"""run_failure_alert: a run that really failed becomes a line in a file and a message to a webhook."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from anomaly_assets.jobs import DETECT, INGEST, NIGHTLY
from graph.deployment import Deploy, Deployment, source_of
from graph.invented import DAY

SECRET = "canary-7f3a"  # noqa: S105  a made-up one that must not be shown
UNCOVERED = DAY + timedelta(days=1)


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


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


def tick(deployment: Deployment, cursor: str | None = None) -> tuple[str | None, str]:
    """One evaluation: the cursor for the next one, and what went wrong in it."""
    sensor = deployment.definitions.resolve_sensor_def("run_failure_alert")
    context = dg.build_sensor_context(
        instance=deployment.instance, definitions=deployment.definitions, cursor=cursor, sensor_name=sensor.name
    )
    data = sensor.evaluate_tick(context)
    errors = [reaction.error for reaction in data.dagster_run_reactions or [] if reaction.error]
    return data.cursor, "".join(str(error) for error in errors)


def test_a_failed_run_becomes_a_line_and_a_message(deploy: Deploy, deliveries: Path, webhook: Receiver) -> None:
    lines = deliveries.parent / "alerts" / "failed.jsonl"
    deployment = deploy(**source_of(deliveries), **{"alerts.file": lines, "alerts.webhook": webhook.url})
    cursor, _ = tick(deployment)
    failed = deployment.run(INGEST, UNCOVERED)
    assert not failed.success
    _, errors = tick(deployment, cursor)
    assert errors == ""

    (line,) = lines.read_text().splitlines()
    alert = json.loads(line)
    assert webhook.received == [(f"/hooks/{SECRET}", alert)]
    assert {key: alert[key] for key in ("event", "severity", "run_id", "job", "partition", "backfill")} == {
        "event": "run_failed",
        "severity": "warning",
        "run_id": failed.run_id,
        "job": INGEST,
        "partition": str(UNCOVERED),
        "backfill": None,
    }
    assert set(alert["steps"]) == {"raw_transactions"}
    assert "are not all covered" in alert["steps"]["raw_transactions"]


def test_a_failed_night_is_critical_and_successes_are_not_reported(
    deploy: Deploy, deliveries: Path, webhook: Receiver
) -> None:
    deployment = deploy(**source_of(deliveries), **{"alerts.webhook": webhook.url})
    cursor, _ = tick(deployment)
    deployment.ingest(DAY)
    assert not deployment.run(NIGHTLY, DAY).success, "its window is missing"
    tick(deployment, cursor)
    assert [(alert["job"], alert["severity"]) for _, alert in webhook.received] == [(NIGHTLY, "critical")]
    assert "window_complete" in webhook.received[0][1]["steps"]["training_window"]


@pytest.mark.parametrize("broken", ["refuses", "is gone"])
def test_a_webhook_that_fails_is_an_error_that_keeps_its_address_secret(
    deploy: Deploy, deliveries: Path, webhook: Receiver, broken: str
) -> None:
    """And the file got its line before."""
    lines = deliveries.parent / "failed.jsonl"
    webhook.status = 500
    url = webhook.url if broken == "refuses" else f"http://127.0.0.1:9/hooks/{SECRET}"
    deployment = deploy(**source_of(deliveries), **{"alerts.file": lines, "alerts.webhook": url})
    cursor, _ = tick(deployment)
    assert not deployment.run(DETECT, DAY).success
    _, errors = tick(deployment, cursor)
    assert "the alert webhook" in errors
    assert SECRET not in errors
    assert "127.0.0.1" not in errors
    assert len(lines.read_text().splitlines()) == 1


def test_the_sensor_is_on_when_it_has_somebody_to_tell(deploy: Deploy, deliveries: Path) -> None:
    told = deploy(**source_of(deliveries), **{"alerts.file": deliveries.parent / "failed.jsonl"})
    for deployment, status in (
        (told, dg.DefaultSensorStatus.RUNNING),
        (deploy(**source_of(deliveries)), dg.DefaultSensorStatus.STOPPED),
    ):
        assert deployment.definitions.resolve_sensor_def("run_failure_alert").default_status is status
