"""Detectors of packages beside the project, as such packages would hold them."""
