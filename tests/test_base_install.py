"""The base install is enough to import and run the project; heavy parts are extras."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import anomaly_assets

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".uv" / "bin" / "uv"
IMPORT_ALL = """
import importlib, pkgutil, sys
import anomaly_assets
for module in pkgutil.walk_packages(anomaly_assets.__path__, "anomaly_assets."):
    # pages of the extra of that name, and suites for tests, which need pytest
    if not module.name.startswith(("anomaly_assets.dashboard.", "anomaly_assets.testing")):
        importlib.import_module(module.name)
extras = {"dagster_webserver", "dagster_dg_cli", "streamlit", "plotly", "snowflake", "dagster_snowflake", "pandas"}
print(sorted(extras & set(sys.modules)))
"""


def uv(*arguments: str) -> None:
    """Run the project's uv; its complaint is the test's."""
    command = [str(UV), "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not UV.exists(), reason="needs the uv that `make dev` sets up")
def test_every_module_imports_with_the_base_dependencies_alone(tmp_path: Path) -> None:
    """A fresh environment with the base dependencies at their locked versions imports every module and runs the CLI."""
    environment = tmp_path / "venv"
    uv("venv", "--python", sys.executable, str(environment))
    python = environment / "bin" / "python"
    uv("pip", "install", "--python", str(python), "--constraint", str(ROOT / "requirements.lock"), str(ROOT))
    imported = subprocess.run(
        [python, "-W", "error", "-c", IMPORT_ALL],
        env={**os.environ, "ANOMALY_HOME": str(tmp_path / "home")},  # without any, Dagster's definitions load nothing
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout.strip() == "[]"
    version = subprocess.run(
        [environment / "bin" / "anomaly-assets", "--version"], capture_output=True, text=True, check=True
    )
    assert anomaly_assets.__version__ in version.stdout
    pages = subprocess.run(
        [environment / "bin" / "anomaly-assets", "dashboard"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert pages.returncode == 64
    assert "make dashboard" in pages.stderr


def test_importing_the_definitions_loads_no_heavy_library() -> None:
    """What every Dagster process pays: no plotting, no scikit-learn, no web server until they are needed."""
    heavy = ("matplotlib", "sklearn", "streamlit", "pandas")
    code = f"import sys, anomaly_assets.definitions; print([m for m in {heavy} if m in sys.modules])"
    environment = {**os.environ, "ANOMALY_HOME": str(ROOT / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_the_environment_of_the_suite_has_the_web_pages() -> None:
    """The suite itself runs with the extras, so the test above says something."""
    assert importlib.util.find_spec("dagster_webserver") is not None
