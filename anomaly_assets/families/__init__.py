"""What the families of this package register in Dagster: assets, checks, jobs, schedules, sensors, resources."""
