"""The Dagster instance that commands run days with: that of the home, cheaper where nobody chose otherwise."""

from pathlib import Path

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from anomaly_assets.dagster_storage import FewConnectionsStorage
from anomaly_assets.step_output import StepOutputFiles


def open_instance(folder: Path) -> dg.DagsterInstance:
    """The instance that ``dagster.yaml`` in ``folder`` describes; a context manager.

    What the file leaves to Dagster's defaults is written by our own classes over the same files. A storage, a place of
    logs or a class of instance that the file names is left alone.
    """
    named = InstanceRef.from_dir(str(folder))
    defaults = InstanceRef.config_defaults(str(folder))
    if named.custom_instance_class_data is not None:
        return dg.DagsterInstance.from_ref(named)
    storage, logs = named.storage_data, named.compute_logs_data
    if storage is not None and storage == defaults["storage"]:
        storage = _same_place(storage, FewConnectionsStorage)
    if logs == defaults["compute_logs"]:
        logs = _same_place(logs, StepOutputFiles)
    return dg.DagsterInstance.from_ref(named._replace(storage_data=storage, compute_logs_data=logs))


def _same_place(default: ConfigurableClassData, by: type[ConfigurableClass]) -> ConfigurableClassData:
    return ConfigurableClassData(by.__module__, by.__name__, yaml.safe_dump(default.config_dict))
