"""Evidence: seals, published files and the publication log, the newest day's and a sample that changes every day.

Nothing is proved here, which takes reading rows: ``verify`` does.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.partition_files import digest_in_place
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.verification_log import verifications
from anomaly_assets.doctor.days import named
from anomaly_assets.doctor.deployment import Deployment
from anomaly_assets.doctor.findings import Finding, failed, failed_with, ok, warning
from anomaly_assets.domain.errors import AnomalyAssetsError, CorruptFile, MissingFile
from anomaly_assets.domain.families import Family, names_of
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.evidence.checked_log import CheckedLog
from anomaly_assets.evidence.erasures import ErasureState, erasures_of
from anomaly_assets.steps.settings_record import recorded_settings

SEALS_SAMPLED = 200
"""Partitions of each asset whose seals are read."""
FILES_SAMPLED, BYTES_SAMPLED = 30, 256 * 1024 * 1024
"""Published files whose bytes are digested, and how many bytes of them; the newest is, whatever its size."""
QUICKLY_DIGESTED = 16 * 1024 * 1024
"""A published file of more bytes is only measured by a quick look."""
SHOWN = 5
"""Faults of one kind that are told one by one."""
_LOG_NAMES_IT = "a line of the publication log for every seal"


def newest_seals(deployment: Deployment) -> Iterator[Finding]:
    """Whether the seals and files of the newest scored day are there and whole, by their names and sizes."""
    lake = deployment.home.lake
    newest = lake.newest_day(SCORED)
    if newest is None:
        yield ok("no day is scored yet")
        return
    faults = [
        *_faults(lake, ((asset, newest) for asset in names_of(deployment.families))),
        *_gone(deployment.home, [newest]),
    ]
    yield from _told(faults) if faults else [ok(f"the seals of {newest} are whole, their files there")]


def sampled_seals(deployment: Deployment) -> Iterator[Finding]:
    """Whether seals and files are there and whole, by their names and sizes."""
    lake = deployment.home.lake
    names = names_of(deployment.families)
    chosen = {asset: sample(lake.days(asset), SEALS_SAMPLED, deployment.today) for asset in names}
    faults = list(_faults(lake, ((asset, day) for asset, days in chosen.items() for day in days)))
    faults += _gone(deployment.home, chosen[SCORED])
    if faults:
        yield from _told(faults)
    else:
        yield ok(f"{sum(map(len, chosen.values())):,} seals are whole, their files there")


def newest_published_file(deployment: Deployment) -> Iterator[Finding]:
    """Whether the newest published file is the one that is sealed."""
    newest = deployment.home.lake.newest_day(SCORED)
    if newest is not None and (fault := _fault_of_published(deployment, newest, most_bytes=QUICKLY_DIGESTED)):
        yield failed_with(fault)
    elif newest is not None:
        yield ok(f"the published file of {newest} is the sealed one")


def sampled_published_files(deployment: Deployment) -> Iterator[Finding]:
    """Whether published files are those that are sealed, by their digests."""
    lake = deployment.home.lake
    faults, n_bytes, looked_at = [], 0, 0
    for day in sample(lake.days(SCORED), FILES_SAMPLED, deployment.today):
        try:
            size = lake.require(SCORED, day).files["scored"].n_bytes
        except AnomalyAssetsError:
            continue  # told with the seals
        if looked_at and n_bytes + size > BYTES_SAMPLED:
            break
        looked_at, n_bytes = looked_at + 1, n_bytes + size
        if fault := _fault_of_published(deployment, day):
            faults.append(failed_with(fault))
    yield from _told(faults) if faults else [ok(f"{looked_at:,} published files are the sealed ones")]


def archived_models(deployment: Deployment) -> Iterator[Finding]:
    """Whether the models of the newest trained day lie in the archive: an empty store is filled from there."""
    home = deployment.home
    newest = home.lake.newest_day(MODELS)
    if newest is None:
        yield ok("no day is trained yet")
        return
    seal = home.lake.require(MODELS, newest)
    wanted = set(home.lake.read(seal, "models", ["model_id"]).column("model_id").to_pylist())
    if gone := wanted - home.models.ids(newest):
        yield warning(
            f"{len(gone):,} of {len(wanted):,} models of {newest} are not in the archive",
            expected="the payload of each: the model store is filled from there when it came back empty",
            remedy=f"materialize wallet_models for {newest} again, which fits them",
        )
    else:
        yield ok(f"the {len(wanted):,} models of {newest} are in the archive")


def tail_of_the_log(deployment: Deployment) -> Iterator[Finding]:
    """Whether the last line of the publication log is the one that was written."""
    home = deployment.home
    log = home.log
    if log.last() is not None:
        yield ok(f"its last line is whole; head {log.head()}")
    elif any(home.lake.newest_day(asset) for asset in names_of(deployment.families)):
        yield failed(
            f"{log.path.name} is {'empty' if log.path.exists() else 'gone'}, and there are days",
            expected="the record of every publication of this home",
            remedy="restore it from a copy; without it nothing tells what was published by a run",
        )
    else:
        yield ok("nothing is committed yet")


def chain_of_the_log(deployment: Deployment) -> Iterator[Finding]:
    """Whether the publication log is one chain, holds the head that was seen before, and names what is current."""
    home = deployment.home
    if home.log.last() is None:
        return  # told with its tail
    log = CheckedLog(home.log)
    heads = [entry.head for entry in verifications(home) if entry.head]
    log.require(heads[-1] if heads else None)
    seen = ", and it holds the head of the last verification" if heads else ""
    unnamed = [seal for seal in _sampled(home.lake, deployment.families, deployment.today) if not log.names(seal)]
    if unnamed:
        first = unnamed[0]
        yield failed(
            f"no line names the current seals of {len(unnamed)} partitions: {first.asset} of "
            f"{named(sorted({seal.day for seal in unnamed}))}",
            expected=_LOG_NAMES_IT,
            remedy="run these days again: a run that was killed left them so, or something else put them there",
        )
    else:
        yield ok(f"the chain is whole{seen}; head {home.log.head()}")


def erasures(deployment: Deployment) -> Iterator[Finding]:
    """Whether every erasure is finished."""
    states = [erasure.state for erasure in erasures_of(deployment.home)]
    begun = sum(state is ErasureState.UNFINISHED for state in states)
    if begun:
        yield warning(
            f"{begun} erasures were begun and are not finished",
            expected="every erasure finished",
            remedy="anomaly-assets erasures names them; erase these wallets again",
        )
    else:
        yield ok(f"{len(states)} erasures, none of them unfinished")


def sample(days: list[date], count: int, seed: date) -> list[date]:
    """The newest day, then others in an order that ``seed`` decides, ``count`` at most."""
    others = sorted(days[:-1], key=lambda day: hashlib.sha256(f"{seed} {day}".encode()).digest())
    return [*days[-1:], *others][:count]


def _sampled(lake: Lake, families: Iterable[Family], seed: date) -> Iterator[Seal]:
    for asset in names_of(families):
        for day in sample(lake.days(asset), SEALS_SAMPLED, seed):
            try:
                found = lake.find(asset, day)
            except AnomalyAssetsError:
                continue  # told with the seals
            if found is not None:
                yield found


def _faults(lake: Lake, partitions: Iterable[tuple[str, date]]) -> Iterator[Finding]:
    for asset, day in partitions:
        try:
            seal = lake.find(asset, day)
            if seal is not None:
                _require_there(lake, seal)
        except AnomalyAssetsError as error:
            fault = failed_with(error)
            yield fault if str(day) in fault.found else replace(fault, found=f"{asset} of {day}: {fault.found}")


def _gone(home: Home, scored: Iterable[date]) -> Iterator[Finding]:
    """What scored days stand on and is gone: without it nothing proves their flags."""
    settings: dict[str, date] = {}
    for day in scored:
        for asset in (RAW, WINDOW, MODELS):
            if not home.lake.is_sealed(asset, day):
                yield failed(
                    f"{asset} of {day} has no seal, though the day is scored",
                    expected="a seal of all that a scored day was made from",
                    remedy=f"restore it from a copy, or: anomaly-assets backfill --from {day} --to {day}",
                )
        try:
            seal = home.lake.find(SCORED, day)
        except AnomalyAssetsError:
            continue  # told with the seals
        if seal is not None and seal.settings_id:
            settings.setdefault(seal.settings_id, day)
    for settings_id in settings:
        try:
            recorded_settings(home, settings_id)
        except AnomalyAssetsError as error:
            yield failed_with(error)


def _require_there(lake: Lake, seal: Seal) -> None:
    folder, remedy = lake.folder(seal.asset, seal.day), f"materialize {seal.asset} for {seal.day} again"
    recorded = folder / "seals" / "all" / f"{seal.seal_id}.json"
    if not recorded.exists():
        raise MissingFile(f"{seal.asset}/{seal.day}/seals/all/{recorded.name} is missing", remedy=remedy)
    if not isinstance(folder, Path):
        return  # each look is a question to the object store
    for role in seal.files:
        stored = lake.stored(seal, role)
        path = folder / stored.name
        size = path.stat().st_size if path.exists() else None
        if size != stored.n_bytes:
            raise CorruptFile(
                f"{seal.asset}/{seal.day}/{stored.name} {'is missing' if size is None else f'has {size:,} bytes'}",
                expected=f"{stored.n_bytes:,} bytes, as they were sealed",
                remedy=remedy,
            )


def _fault_of_published(
    deployment: Deployment, day: date, *, most_bytes: int | None = None
) -> AnomalyAssetsError | None:
    """What is wrong with the published file of a day; that it is not there is told with the days."""
    home = deployment.home
    sealed = home.lake.stored(home.lake.require(SCORED, day), "scored")
    path = home.published_path(day)
    if not path.exists():
        return None
    if isinstance(path, Path) and path.stat().st_size != sealed.n_bytes:
        found = f"has {path.stat().st_size:,} bytes"
    elif most_bytes is not None and (sealed.n_bytes > most_bytes or not isinstance(path, Path)):
        return None
    elif (digest := digest_in_place(path)) != sealed.sha256:
        found = f"has the digest {digest}"
    else:
        return None
    return CorruptFile(
        f"{path.name}, the published file of {day}, {found}",
        expected=f"the sealed file: {sealed.n_bytes:,} bytes with digest {sealed.sha256}",
        remedy=f"anomaly-assets backfill --from {day} --to {day} copies the sealed bytes; find out who changed it",
    )


def _told(faults: list[Finding]) -> Iterator[Finding]:
    yield from faults[:SHOWN]
    if len(faults) > SHOWN:
        yield failed(f"and {len(faults) - SHOWN} more", remedy="anomaly-assets verify examines day by day")
