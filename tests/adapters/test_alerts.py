"""Alerts reach every receiver, and an address that is a secret is never told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from anomaly_assets.adapters.alerts import FILE, WEBHOOK, AlertTargets
from anomaly_assets.domain.errors import AnomalyAssetsError, PermanentError, TransientError

ALERT = {"event": "run_failed", "run_id": "r1", "severity": "warning", "job": "nightly", "partition": "2024-03-01"}
CANARY = "canary-7f3a"


@contextmanager
def webhook(status: int) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers every POST with ``status`` and keeps the bodies."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{CANARY}", bodies
        finally:
            server.shutdown()
            thread.join()


def test_alerts_are_appended_to_the_file_one_json_line_each(tmp_path: Path) -> None:
    targets = AlertTargets(file=tmp_path / "new" / "alerts.jsonl")
    targets.send(FILE, [ALERT])
    targets.send(FILE, [{**ALERT, "message": "two\nlines"}])
    lines = (tmp_path / "new" / "alerts.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [ALERT, {**ALERT, "message": "two\nlines"}]


def test_one_alert_is_posted_as_it_is_and_more_of_them_in_one_message() -> None:
    more = [{**ALERT, "run_id": f"r{number}"} for number in range(1, 51)]
    more[30]["severity"] = "critical"
    with webhook(204) as (url, bodies):
        AlertTargets(webhook=url).send(WEBHOOK, [ALERT])
        AlertTargets(webhook=url).send(WEBHOOK, more)
    one, all_of_them = (json.loads(body) for body in bodies)
    assert one == {**ALERT, "key": "r1"}
    assert all_of_them["run_ids"] == [alert["run_id"] for alert in more]
    assert all_of_them["alerts"] == more[:20]
    assert (all_of_them["count"], all_of_them["severity"], all_of_them["event"]) == (50, "critical", "runs_failed")


def test_missing_days_are_told_under_keys_of_their_own() -> None:
    days = [
        {"event": "day_overdue", "key": f"day_overdue-2024-03-0{number}-home", "severity": "critical", "day": number}
        for number in (1, 2)
    ]
    with webhook(204) as (url, bodies):
        for alerts in (days[:1], days, days):
            AlertTargets(webhook=url).send(WEBHOOK, alerts)
    one, both, again = (json.loads(body) for body in bodies)
    assert one == days[0]
    assert (both["event"], both["days"], both["count"], both["alerts"]) == ("days_overdue", [1, 2], 2, days)
    assert "run_ids" not in both
    assert again["key"] == both["key"]


def test_without_receivers_there_is_nothing_to_do() -> None:
    assert not AlertTargets()
    assert AlertTargets(file=Path("alerts"))
    assert AlertTargets(webhook="https://example.org", file=Path("alerts")).receivers == (FILE, WEBHOOK)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, PermanentError), (404, PermanentError), (429, TransientError), (500, TransientError), (503, TransientError)],
)
def test_a_refusal_is_permanent_and_an_overload_is_not(status: int, kind: type[AnomalyAssetsError]) -> None:
    with webhook(status) as (url, _), pytest.raises(kind, match=str(status)) as error:
        AlertTargets(webhook=url).send(WEBHOOK, [ALERT])
    assert CANARY not in str(error.value)


@pytest.mark.parametrize("address", [CANARY, f"ftp://{CANARY}", f"http://[{CANARY}", f"http:///{CANARY}"])
def test_an_address_that_is_none_is_a_permanent_error(address: str) -> None:
    with pytest.raises(PermanentError, match=r"alerts\.webhook") as error:
        AlertTargets(webhook=address).send(WEBHOOK, [ALERT])
    assert CANARY not in str(error.value)


def test_a_webhook_that_does_not_answer_is_a_transient_error() -> None:
    with webhook(200) as (url, _):
        pass
    with pytest.raises(TransientError, match="did not answer") as error:
        AlertTargets(webhook=url).send(WEBHOOK, [ALERT])
    assert CANARY not in str(error.value)


def test_the_address_of_the_webhook_is_not_shown() -> None:
    assert CANARY not in repr(AlertTargets(webhook=f"https://example.org/{CANARY}"))
