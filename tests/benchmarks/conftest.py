"""Servers that scripts are run against."""

from snowflake_stand_in import snowflake_port, stand_in

__all__ = ["snowflake_port", "stand_in"]  # fixtures
