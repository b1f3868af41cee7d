from evidence.conftest import home, proved, untouched  # noqa: F401
