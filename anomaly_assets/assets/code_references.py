"""Links from Dagster's pages to the code: the asset, and the step that does its work without Dagster."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import BetaWarning


@contextmanager
def _beta_accepted() -> Iterator[None]:
    """Links to code are a beta feature of Dagster 1.13: accepted here, and nothing else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(ode_references|CodeReference).*", category=BetaWarning)
        yield


def code_of(step: Callable[..., Any]) -> dict[str, dg.CodeReferencesMetadataValue]:
    """Metadata of an asset that refers to the function which does its work."""
    path, line = Path(inspect.getfile(step)), inspect.getsourcelines(step)[1]
    label = f"{path.parent.name}/{path.name}"
    with _beta_accepted():
        reference = dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=label)
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def with_code_references(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets, each with a reference to the file that declares it beside those it has."""
    with _beta_accepted():
        return list(dg.with_source_code_references(assets))  # type: ignore[arg-type]
