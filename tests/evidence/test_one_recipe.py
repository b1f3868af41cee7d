"""One recipe gives one model: a second, different one is an alarm before anything is published."""

import shutil
from datetime import UTC, datetime

import pytest

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.errors import ModelConflict
from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.lineage import MODELS
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.evidence.case import Case
from anomaly_assets.settings import Detection, RedisSettings
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.train import train_models
from evidence.conftest import DAYS

DAY = DAYS[-1]


def test_another_model_under_a_known_recipe_stops_the_training(home: Home) -> None:
    """A list of models that names another id than fitting gives, and payloads that have to be fitted again."""
    case = Case.of(home, DAY)
    rows = case.models_table.to_pylist()
    wallet = rows[0]["wallet_id"]
    rows[0]["model_id"] = "f" * 64
    table = case.models_table.slice(0, 0).from_pylist(rows, schema=case.models_table.schema)
    run = Run(home, "again", lambda: datetime(2024, 2, 1, tzinfo=UTC), lambda _: None, 5)
    with run.writing(home.lake, MODELS, DAY) as writer:
        sealed = {name: getattr(case.models, name) for name in ("inputs", "counts", "settings_id", "generation")}
        revision = digest_of([table_digest(table), case.window.revision])
        forged, _ = writer.commit(writer.stage({"models": table}), revision=revision, verdicts=(), **sealed)
    shutil.rmtree(home.models.root)
    with pytest.raises(ModelConflict, match=f"wallet '{wallet}'.*one model per recipe".replace(".*", "(.|\n)*")):
        train_models(run, StoreProvider.from_settings(RedisSettings()), Detection.of_record(case.settings), DAY)
    assert home.lake.require(MODELS, DAY).seal_id == forged.seal_id
    assert not (home.store / "server.json").exists()
