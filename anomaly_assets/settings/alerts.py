"""Settings of alerts."""

from pydantic import Field, SecretStr

from anomaly_assets.settings.section import Location, Section


class AlertSettings(Section):
    """Where failed runs and missing days are reported."""

    webhook: SecretStr | None = Field(
        None, description="URL that receives a JSON POST per failed run and per missing day."
    )
    file: Location | None = Field(
        None, description="File that receives a JSON line per failed run and per missing day."
    )
