"""How assets, jobs, schedules and sensors of a deployment are called in Dagster: by their own names, behind a prefix.

Files, the log and the model store know the own names alone, so that a home can be given a prefix later, or lose it.
"""

from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class DagsterNames:
    """The names of one deployment.

    Parameters
    ----------
    key_prefix : what asset keys begin with, parts separated by ``/``; empty when there is none
    """

    key_prefix: str = ""

    @property
    def _parts(self) -> list[str]:
        return self.key_prefix.split("/") if self.key_prefix else []

    def key(self, asset: str) -> dg.AssetKey:
        """Key of one of our assets."""
        return dg.AssetKey([*self._parts, asset])

    def asset(self, key: dg.AssetKey) -> str | None:
        """Our name of the asset with a key; None when it has another prefix: another deployment's asset."""
        *above, asset = key.path
        return asset if above == self._parts else None

    def step(self, asset: str) -> str:
        """Name of the step that makes an asset, by which run configuration names it."""
        return "__".join([*self._parts, asset])

    def of(self, name: str) -> str:
        """Name of a job, schedule or sensor."""
        return "_".join([*self._parts, name])
