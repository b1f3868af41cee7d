"""What pages and reports show, as tables: pure functions over sealed files, without a browser and without Dagster."""
