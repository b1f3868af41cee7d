"""What a process loads for good is not looked through for garbage: not while it grows, and not at the end."""

import subprocess
import sys

import pytest

SCRIPT = """
import gc
from contextlib import nullcontext
from anomaly_assets.loading import look_seldom, kept_to_the_end

MANY = 100_000

def tell(phase, about):
    if phase == "start" and len(gc.get_objects()) >= MANY:
        print("many looked through")

gc.collect()
gc.callbacks.append(tell)
with {loading}:
    kept = [[] for _ in range(MANY)]
gc.callbacks.remove(tell)
print("loaded", gc.isenabled())
later = [[] for _ in range(MANY)]
gc.callbacks.append(tell)
{ending}
"""


def told(loading: str, ending: str) -> list[str]:
    """What a process says that loads and ends so."""
    script = SCRIPT.format(loading=loading, ending=ending)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split("\n")


@pytest.mark.parametrize(
    ("loading", "ending", "looked"),
    [
        ("kept_to_the_end()", "", (False, False)),
        ("nullcontext()", "look_seldom()", (True, False)),
        ("nullcontext()", "", (True, True)),
    ],
)
def test_nothing_is_looked_through_while_it_is_loaded_nor_at_the_end(
    loading: str, ending: str, looked: tuple[bool, bool]
) -> None:
    lines = told(loading, ending)
    loaded = lines.index("loaded True")
    assert ("many looked through" in lines[:loaded], "many looked through" in lines[loaded:]) == looked
