"""Models and scores are the same bytes on other CPUs and under other hash seeds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fingerprint_of_results import __file__ as program
from fingerprint_of_results import fingerprints
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__  # type: ignore[import-not-found]


def in_another_process(**environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, program], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_results_do_not_change_when_vector_features_of_the_cpu_are_switched_off(tmp_path: Path) -> None:
    vector = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    if not vector:
        pytest.skip("this CPU offers numpy no features that can be switched off")
    other = in_another_process(
        NPY_DISABLE_CPU_FEATURES=" ".join(vector),
        NUMBA_CPU_NAME="generic",
        NUMBA_CACHE_DIR=str(tmp_path),
        PYTHONHASHSEED="1",
    )
    assert not set(vector) & set(other["numpy"])
    assert other["numba"] == "generic"
    assert other["results"] == fingerprints()


def test_results_do_not_change_with_the_hash_seed() -> None:
    assert in_another_process(PYTHONHASHSEED="2")["results"] == fingerprints()


def test_the_fingerprints_hold_flags_so_that_reasons_are_compared_too() -> None:
    reasons = [reason for reason in fingerprints()["reasons"] if reason]
    assert any("standard deviations" in reason for reason in reasons)
    assert any("isolation score" in reason for reason in reasons)
