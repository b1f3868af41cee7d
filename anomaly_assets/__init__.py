"""Per-wallet anomaly detection as a Dagster asset graph."""
