"""Per-wallet anomaly detection as a Dagster asset graph."""

__version__ = "0.5.0"
