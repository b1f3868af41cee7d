"""What a Dagster instance has of sealed days, and the tags by which it tells whether a day follows from its inputs.

A real run writes these tags by itself. A materialization that is reported without one carries the same, or Dagster
would call every day stale. The *event pointer* of an input decides: a partition of it whose data version changed in an
event behind the pointer was changed since.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from hashlib import sha256

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    SKIP_PARTITION_DATA_VERSION_DEPENDENCY_THRESHOLD,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.lineage import Compared

BEFORE_EVERYTHING = -1
"""Pointer before the first event: Dagster takes 0 for none."""


class Recorded:
    """The newest materialization of each partition of some assets, by asset and day, and which checks it has.

    Parameters
    ----------
    instance : is asked once; what is reported later is told to :meth:`add`
    names : what the assets are called in it
    """

    def __init__(self, instance: dg.DagsterInstance, assets: Iterable[str], names: DagsterNames) -> None:
        self._instance, self.names = instance, names
        self._ids: dict[tuple[str, str], int] = {}
        self._versions: dict[tuple[str, str], str] = {}
        self._newest: dict[str, tuple[int, str]] = {}
        for asset in assets:
            self._read(asset)

    def has(self, asset: str, day: date, data_version: str) -> bool:
        """Whether the newest materialization of a partition tells of this data version."""
        return self._versions.get((asset, day.isoformat())) == data_version

    def sees(self, asset: str, day: date, made_from: Sequence[Compared]) -> bool:
        """Whether Dagster takes the newest materialization of a partition for made from what still holds of its inputs.

        It does not where such an input was reported later: a new instance may have scored a day before it was told of
        the days that the day was made from.
        """
        own = self._ids[asset, day.isoformat()]
        of_asset = Counter(each.edge.asset for each in made_from)
        looked_at = [
            (each.edge.asset, each.edge.partition)
            for each in made_from
            if each.follows
            and each.edge.revision is not None
            and of_asset[each.edge.asset] < SKIP_PARTITION_DATA_VERSION_DEPENDENCY_THRESHOLD
        ]
        return not any(partition not in self._ids or self._changed_after(partition, own) for partition in looked_at)

    def add(self, asset: str, day: date, data_version: str, storage_id: int) -> None:
        """Note a materialization that was reported."""
        self._note(asset, day.isoformat(), data_version, storage_id)

    def judged(self, asset: str, checks: Iterable[str]) -> set[tuple[str, str]]:
        """(check, partition) of the checks that judged the newest materialization of a partition."""
        keys = [dg.AssetCheckKey(self.names.key(asset), check) for check in checks]
        infos = self._instance.event_log_storage.get_asset_check_partition_info(keys)
        return {(info.check_key.name, info.partition_key) for info in infos if info.partition_key and info.is_current}

    def pointer(self, asset: str, made_from: Sequence[Compared]) -> int | None:
        """The event of an input up to which ``made_from`` was current; None when the input has no event.

        Parameters
        ----------
        made_from : edges to partitions of it, each against what is current: those that still hold were reported before
            those that changed
        """
        changed = [self._ids.get((asset, each.edge.partition)) for each in made_from if not each.follows]
        first = min((storage_id for storage_id in changed if storage_id is not None), default=None)
        if first is not None:
            return first - 1 or BEFORE_EVERYTHING
        return self._newest[asset][0] if asset in self._newest else None

    def input_version(self, asset: str, used: Sequence[str]) -> str:
        """What Dagster makes of the data versions that were ``used`` of an input, ascending by partition."""
        if asset not in self._newest:
            return DEFAULT_DATA_VERSION.value
        if len(used) >= SKIP_PARTITION_DATA_VERSION_DEPENDENCY_THRESHOLD:
            return self._newest[asset][1]
        return sha256("".join(used).encode()).hexdigest()

    def _changed_after(self, partition: tuple[str, str], storage_id: int) -> bool:
        if self._ids[partition] <= storage_id:
            return False
        asset, key = partition
        before = self._instance.get_latest_data_version_record(
            self.names.key(asset), partition_key=key, before_cursor=storage_id
        )
        version = extract_data_version_from_entry(before.event_log_entry) if before else None
        return version is None or version.value != self._versions[partition]

    def _read(self, asset: str) -> None:
        storage, key, kind = (
            self._instance.event_log_storage,
            self.names.key(asset),
            dg.DagsterEventType.ASSET_MATERIALIZATION,
        )
        tags = storage.get_latest_tags_by_partition(key, kind, [DATA_VERSION_TAG])
        for partition, storage_id in storage.get_latest_storage_id_by_partition(key, kind).items():
            version = tags.get(partition, {}).get(DATA_VERSION_TAG, DEFAULT_DATA_VERSION.value)
            self._note(asset, partition, version, storage_id)

    def _note(self, asset: str, partition: str, data_version: str, storage_id: int) -> None:
        self._ids[asset, partition], self._versions[asset, partition] = storage_id, data_version
        self._newest[asset] = max((storage_id, data_version), self._newest.get(asset, (0, "")))


def version_tags(
    recorded: Recorded,
    data_version: str,
    code_version: str,
    inputs: Iterable[tuple[str, Sequence[Compared], Sequence[str]]],
) -> dict[str, str]:
    """Tags as Dagster writes them.

    Parameters
    ----------
    inputs : per asset that Dagster's graph leads to: its name, the edges to its partitions, the data versions used
    """
    tags = {CODE_VERSION_TAG: code_version}
    for asset, made_from, used in inputs:
        pointer, key = recorded.pointer(asset, made_from), recorded.names.key(asset)
        tags[get_input_data_version_tag(key)] = recorded.input_version(asset, used)
        tags[get_input_event_pointer_tag(key)] = NULL_EVENT_POINTER if pointer is None else str(pointer)
    return {**tags, DATA_VERSION_TAG: data_version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
