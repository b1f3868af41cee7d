"""The pure core: no Dagster, no clients, no environment, no clock."""
