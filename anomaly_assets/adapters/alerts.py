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
        """Deliver ``alert`` to every receiver.

        Raises ``TransientError`` when the webhook does not answer and ``PermanentError`` when it refuses.
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
        except requests.RequestException as error:
            raise TransientError(
                f"the alert webhook did not answer: {type(error).__name__}", remedy="check alerts.webhook"
            ) from None
        if answer.status_code >= 400:
            raise PermanentError(
                f"the alert webhook answered {answer.status_code}", expected="2xx", remedy="check alerts.webhook"
            )
