"""All examinations, in the order in which their findings are told."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from anomaly_assets.adapters.home import Home
from anomaly_assets.doctor import days, deployment, evidence, machine, source, store
from anomaly_assets.doctor.deployment import Deployment
from anomaly_assets.doctor.findings import Examination, Finding, Level, examined
from anomaly_assets.domain.families import Family
from anomaly_assets.settings import Settings

QUICK: Mapping[str, Sequence[Examination]] = {
    "home": [deployment.home],
    "source": [source.files_there],
    "days": [days.due_day],
    "evidence": [evidence.newest_seals, evidence.newest_published_file, evidence.tail_of_the_log],
    "store": [store.models_served],
    "machine": [machine.disk, machine.clock],
}
"""By topic, what a probe can ask every minute: names, sizes and a few small files."""
FULL: Mapping[str, Sequence[Examination]] = {
    "home": [deployment.home, deployment.same_source, deployment.detectors],
    "source": [source.newest_day],
    "days": [days.due_day, days.newest_days, days.published_days, days.gaps, days.days_to_make_again],
    "evidence": [
        evidence.sampled_seals,
        evidence.sampled_published_files,
        evidence.archived_models,
        evidence.tail_of_the_log,
        evidence.chain_of_the_log,
        evidence.erasures,
    ],
    "store": [store.models_served],
    "machine": [machine.disk, machine.permissions, machine.clock],
}


def examine(
    settings: Settings,
    open_home: Callable[[], Home],
    families: Sequence[Family],
    *,
    now: datetime,
    quick: bool = False,
) -> list[Finding]:
    """Everything that is found of a deployment; nothing is made, started or changed.

    Parameters
    ----------
    open_home : the home; raises ``NoHome`` when it is not there, which is a finding
    families : whose assets the home has
    now : zone-aware
    quick : only what takes little time, and no Dagster
    """
    return list(_all(settings, open_home, families, now, quick=quick))


def _all(
    settings: Settings, open_home: Callable[[], Home], families: Sequence[Family], now: datetime, *, quick: bool
) -> Iterator[Finding]:
    if not quick:
        for of_settings in (deployment.versions, deployment.settings):
            yield from examined("installation", of_settings, settings)
    opened: list[Deployment] = []

    def home() -> Iterator[Finding]:
        there = open_home()
        opened.append(Deployment(settings, there, there.bound_record(), now, families))
        yield from deployment.home(opened[0])

    yield from examined("home", home)
    if opened:
        for topic, examinations in (QUICK if quick else FULL).items():
            for examination in examinations:
                if examination is not deployment.home:
                    yield from examined(topic, examination, opened[0])
    else:
        yield from examined("store", store.server, settings)
    if not quick:
        yield from _of_dagster(settings, opened)


def _of_dagster(settings: Settings, opened: Sequence[Deployment]) -> Iterator[Finding]:
    from anomaly_assets.doctor import instance  # noqa: PLC0415  it loads Dagster

    found = [each for examination in instance.ANYWHERE for each in examined("dagster", examination, settings)]
    yield from found
    if all(each.level is not Level.FAILED for each in found):  # else all of them would say the same again
        for there in opened:
            for examination in instance.OF_A_HOME:
                yield from examined("dagster", examination, there)
