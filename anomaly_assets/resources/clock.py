"""The clock as a Dagster resource: only logs, update times and sensors look at it."""

from datetime import UTC, datetime

import dagster as dg


class ClockResource(dg.ConfigurableResource):
    """The system's clock, or a fixed moment for rehearsals and tests."""

    fixed: str | None = None

    def now(self) -> datetime:
        """The current moment, zone-aware UTC."""
        return datetime.fromisoformat(self.fixed).astimezone(UTC) if self.fixed else datetime.now(UTC)
