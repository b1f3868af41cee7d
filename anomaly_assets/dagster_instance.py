"""The Dagster instance of a home: made before anybody else can, and opened cheaply where nobody chose otherwise."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from anomaly_assets.adapters.dagster_home import INSTANCE_FILE, record_settings, write_instance_file
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.private_files import prepare_root, share_databases
from anomaly_assets.dagster_databases import make_databases, mend_databases
from anomaly_assets.dagster_server import answered, require_answer
from anomaly_assets.dagster_storage import FewConnectionsStorage
from anomaly_assets.settings import Settings
from anomaly_assets.step_output import StepOutputFiles

FIRST_START_SECONDS = 120
"""How long a command waits for another one that makes the databases: seconds on a quiet machine."""


def prepare_instance(settings: Settings, *, say: Callable[[str], None], record_again: bool = False) -> Path:
    """Make what the Dagster instance of the settings needs, or bring it up to date; returns its folder.

    Its databases are made here, by one process at a time: Dagster's webserver and daemon, started at once on an empty
    folder, each make them, and a database with two versions of itself never opens again.

    Parameters
    ----------
    say : told what was changed in a ``dagster.yaml`` that was there, and which databases were mended
    record_again : whether these settings become the ones of the instance when others were recorded before

    Raises ``SettingsError`` when ``dagster.yaml`` is not YAML, ``Busy`` when another process does not get done with it,
    ``InstanceUnavailable`` when it names a server that does not answer.
    """
    folder, is_own = settings.instance_folder, settings.dagster_home is None
    if not is_own and (folder / INSTANCE_FILE).exists():
        return folder  # its owner's: several homes may share it, and it may not even be writable here
    prepare_root(settings.home, settings.files.group)
    with exclusive(folder / "first_start.lock", timeout_seconds=FIRST_START_SECONDS):
        changed = write_instance_file(folder, max_concurrent_runs=settings.max_concurrent_runs)
        if changed:
            say(changed)
        if is_own:
            record_settings(folder, settings, again=record_again)
        require_answer(folder)
        make_databases(folder)
        for mended in mend_databases(folder):
            say(mended)
        share_databases(folder)
    return folder


def open_instance(folder: Path) -> dg.DagsterInstance:
    """The instance that ``dagster.yaml`` in ``folder`` describes; a context manager.

    What the file leaves to Dagster's defaults is written by our own classes over the same files. A storage, a place of
    logs or a class of instance that the file names is left alone.

    Raises ``InstanceUnavailable`` when the file names a server that does not answer, ``SettingsError`` when it does so
    wrongly.
    """
    require_answer(folder)
    named = InstanceRef.from_dir(str(folder))
    defaults = InstanceRef.config_defaults(str(folder))
    if named.custom_instance_class_data is not None:
        return dg.DagsterInstance.from_ref(named)
    storage, logs = named.storage_data, named.compute_logs_data
    if storage is not None and storage == defaults["storage"]:
        storage = _same_place(storage, FewConnectionsStorage)
    if logs == defaults["compute_logs"]:
        logs = _same_place(logs, StepOutputFiles)
    with answered(folder):
        return dg.DagsterInstance.from_ref(named._replace(storage_data=storage, compute_logs_data=logs))


def _same_place(default: ConfigurableClassData, by: type[ConfigurableClass]) -> ConfigurableClassData:
    return ConfigurableClassData(by.__module__, by.__name__, yaml.safe_dump(default.config_dict))
