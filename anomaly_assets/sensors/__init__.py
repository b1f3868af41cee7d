"""Sensors: gather facts, decide in a pure function, emit."""
