"""Where alerts go: a webhook, a file, or both."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anomaly_assets.adapters.private_files import make_private_folder, open_private
from anomaly_assets.domain.errors import PermanentError, TransientError
from anomaly_assets.domain.identity import JsonObject, digest_of

FILE, WEBHOOK = "file", "webhook"
DAY_OVERDUE = "day_overdue"
"""The event of a day that is due and not there; all others are failed runs."""
MOST_IN_FULL = 20
"""Alerts of one message that are told in full; of the others it holds the run ids."""
_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class AlertTargets:
    """Receivers of alerts. The webhook's address is a secret and never shown."""

    webhook: str | None = field(default=None, repr=False)
    file: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.receivers)

    @property
    def receivers(self) -> tuple[str, ...]:
        """Who is told, the file first."""
        return tuple(name for name in (FILE, WEBHOOK) if getattr(self, name) is not None)

    def send(self, receiver: str, alerts: Sequence[JsonObject]) -> None:
        """Deliver alerts of one event to one of ``receivers``: to the file a line each, to the webhook in one message.

        Raises ``TransientError`` when the webhook does not answer or is overloaded, ``PermanentError`` when it refuses
        or its address is not one, ``OSError`` when the file cannot be written.
        """
        if receiver == FILE and self.file is not None:
            make_private_folder(self.file.parent)
            with os.fdopen(open_private(self.file, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8") as lines:
                lines.write("".join(json.dumps(dict(alert), sort_keys=True) + "\n" for alert in alerts))
        if receiver == WEBHOOK and self.webhook is not None:
            self._post(self.webhook, message_of(alerts))

    @staticmethod
    def _post(url: str, message: JsonObject) -> None:
        import requests  # noqa: PLC0415  whoever sends nothing, a verifier for instance, starts without it

        try:
            answer = requests.post(
                url, json=dict(message), headers={"Idempotency-Key": key_of(message)}, timeout=_TIMEOUT_SECONDS
            )
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema):
            raise PermanentError(
                "the address of the alert webhook is not one", expected="https://...", remedy="correct alerts.webhook"
            ) from None
        except requests.RequestException as error:
            raise TransientError(
                f"the alert webhook did not answer: {type(error).__name__}", remedy="check alerts.webhook"
            ) from None
        if answer.status_code >= 400:
            kind = TransientError if answer.status_code >= 500 or answer.status_code in {408, 429} else PermanentError
            raise kind(
                f"the alert webhook answered {answer.status_code}", expected="2xx", remedy="check alerts.webhook"
            )


def message_of(alerts: Sequence[JsonObject]) -> JsonObject:
    """What the webhook is sent: an alert as it is, or one message about those of its event that waited.

    ``key`` is the same whenever the same is sent again: that of the alert, or a digest of all of them.
    """
    if len(alerts) == 1:
        return {**alerts[0], "key": key_of(alerts[0])}
    is_of_days = alerts[0]["event"] == DAY_OVERDUE
    keys = [key_of(alert) for alert in alerts]
    return {
        "event": "days_overdue" if is_of_days else "runs_failed",
        "severity": "critical" if any(alert["severity"] == "critical" for alert in alerts) else "warning",
        "key": digest_of(keys),
        "count": len(alerts),
        **({"days": [alert["day"] for alert in alerts]} if is_of_days else {"run_ids": keys}),
        "alerts": [dict(alert) for alert in alerts[:MOST_IN_FULL]],
    }


def key_of(alert: JsonObject) -> str:
    """What an alert is known by: its run id, or its own key where it is of no run."""
    return str(alert.get("key") or alert["run_id"])
