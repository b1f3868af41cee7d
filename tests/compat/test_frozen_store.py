"""The model store that lies in a home of an earlier release still serves what that release published."""

import shutil
from contextlib import chdir

from click.testing import CliRunner

from anomaly_assets.adapters.publication import PublicationState
from anomaly_assets.cli import main as anomaly_assets
from anomaly_assets.domain.lineage import MODELS
from compat.frozen import Frozen


def require_served(frozen: Frozen) -> None:
    """Readers get exactly the models of the newest day, and every payload is the one that is archived."""
    home, day = frozen.home, frozen.days("scored")[-1]
    seal = home.lake.require(MODELS, day)
    listed = {
        (row["detector"], row["wallet_id"]): row["model_id"] for row in home.lake.read(seal, "models").to_pylist()
    }
    archived = {
        name: payload for pack in home.models.stream(day, set(listed.values())) for name, payload in pack.items()
    }
    with frozen.store.open(home) as store:
        published = store.published()
        served = store.read(list(listed), as_of=day, generation=seal.generation or 0)
    assert published is not None
    assert (published.as_of, published.generation) == (day, seal.generation)
    assert (published.state, published.count) == (PublicationState.COMPLETE, len(listed))
    assert (published.settings_id, published.manifest) == (seal.settings_id, seal.inputs["manifest_id"])
    assert served is not None
    assert {tuple(key): stored.model_id for key, stored in served.items()} == listed
    assert {stored.model_id: stored.payload for stored in served.values()} == archived


def test_readers_get_the_models_that_were_published_last(changing: Frozen) -> None:
    require_served(changing)


def test_a_store_that_was_lost_is_filled_again_from_the_files(changing: Frozen) -> None:
    """By the command, which changes nothing else and says so when everything is there already."""
    shutil.rmtree(changing.home.store)
    before, told = changing.contents("lake", "output", "models", "publication_log.jsonl"), []
    with chdir(changing.folder):
        for _ in range(2):
            done = CliRunner().invoke(anomaly_assets, ["store", "publish"])
            assert done.exit_code == 0, done.output
            told.append(done.stdout.strip())
    newest = changing.days("scored")[-1]
    assert [line.partition(", ")[0] for line in told] == [f"models of {newest}"] * 2
    assert [line.rpartition(": ")[2] for line in told] == ["published", "unchanged"]
    assert changing.contents("lake", "output", "models", "publication_log.jsonl") == before
    require_served(changing)


def test_a_model_that_is_archived_no_more_is_named_and_nothing_is_served_in_part(changing: Frozen) -> None:
    shutil.rmtree(changing.home.store)
    shutil.rmtree(changing.home.models.root / str(changing.days("scored")[-1]))
    with chdir(changing.folder):
        done = CliRunner().invoke(anomaly_assets, ["store", "publish"])
    assert done.exit_code == 2
    assert "are not archived any more" in done.stderr
    with changing.store.open(changing.home) as store:
        assert store.published() is None
