"""What is looked at after every test."""

from after_every_test import no_instance_is_left_current  # noqa: F401 - fixture
