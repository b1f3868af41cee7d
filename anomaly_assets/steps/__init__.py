"""What each asset does, without Dagster: read sealed inputs, call the core, stage, check, seal, publish."""
