"""Settings of the model store."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Len
from pydantic import Field, SecretStr

from anomaly_assets.settings.section import Section


class RedisSettings(Section):
    """Where published models are served from."""

    url: SecretStr | None = Field(
        None,
        description="Address of a Redis or Valkey server (also `REDIS_URL`); none: the embedded store of the home.",
    )
    key_prefix: Annotated[str, Len(0, 64)] = Field("", description="Put before every key, for a shared server.")
    socket_timeout: Annotated[float, Gt(0)] = Field(10.0, description="Seconds before a call is given up.")
    max_payload_bytes: Annotated[int, Ge(1024)] = Field(
        16 * 1024 * 1024, description="Largest model payload, bytes; a larger one is refused before the socket."
    )
    embedded_max_memory_mb: Annotated[int, Ge(16)] = Field(4096, description="Memory limit of the embedded store, MB.")
    publication: Literal["best_effort", "compulsory"] = Field(
        "best_effort",
        description="When models cannot be served: `best_effort` scores the day and serves them later, `compulsory` "
        "fails the run.",
    )
