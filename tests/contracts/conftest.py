"""Servers that contracts are held against."""

from snowflake_stand_in import snowflake_port, stand_in

__all__ = ["snowflake_port", "stand_in"]  # fixtures
