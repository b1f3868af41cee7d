"""Where alerts go: a webhook, a file, or both."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from anomaly_assets.domain.errors import PermanentError, TransientError

_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class AlertTargets:
    """Receivers of alerts. The webhook's address is a secret and never shown."""

    webhook: str | None = field(default=None, repr=False)
    file: Path | None = None

    def __bool__(self) -> bool:
        return self.webhook is not None or self.file is not None

    def send(self, alert: Mapping[str, Any]) -> None:
        """Deliver ``alert`` to every receiver, the file first.

        Raises ``TransientError`` when the webhook does not answer or is overloaded, ``PermanentError`` when it refuses
        or its address is not one, ``OSError`` when the file cannot be written.
        """
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(dict(alert), sort_keys=True) + "\n")
        if self.webhook is not None:
            self._post(self.webhook, alert)

    @staticmethod
    def _post(url: str, alert: Mapping[str, Any]) -> None:
        try:
            answer = requests.post(url, json=dict(alert), timeout=_TIMEOUT_SECONDS)
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
