"""The model store that lies in a home of an earlier release still serves what that release published."""

from anomaly_assets.adapters.publication import PublicationState
from anomaly_assets.domain.lineage import MODELS
from compat.frozen import Frozen


def test_readers_get_the_models_that_were_published_last(changing: Frozen) -> None:
    """Every payload that is archived is the one that is served."""
    home, day = changing.home, changing.days("scored")[-1]
    seal = home.lake.require(MODELS, day)
    listed = {
        (row["detector"], row["wallet_id"]): row["model_id"] for row in home.lake.read(seal, "models").to_pylist()
    }
    archived = {
        name: payload for pack in home.models.stream(day, set(listed.values())) for name, payload in pack.items()
    }
    with changing.store.open(home) as store:
        published = store.published()
        served = store.read(list(listed), as_of=day, generation=seal.generation or 0)
    assert published is not None
    assert (published.as_of, published.generation) == (day, seal.generation)
    assert (published.state, published.count) == (PublicationState.COMPLETE, len(listed))
    assert (published.settings_id, published.manifest) == (seal.settings_id, seal.inputs["manifest_id"])
    assert served is not None
    assert {tuple(key): stored.model_id for key, stored in served.items()} == listed
    assert {stored.model_id: stored.payload for stored in served.values()} == archived
