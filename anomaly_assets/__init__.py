"""Per-wallet anomaly detection as a Dagster asset graph."""

__version__ = "0.4.0"
