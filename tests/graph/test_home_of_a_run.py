"""Which home a run works on is told by a tag of the run: an instance may be shared."""

import stat

import pytest

from anomaly_assets.jobs import INGEST
from anomaly_assets.run_tags import HOME_TAG
from graph.conftest import Prepared
from graph.deployment import Deploy, source_of
from graph.invented import DAY, FIRST


@pytest.mark.parametrize("copied", [{}, {HOME_TAG: "another home"}], ids=["its own", "copied from another run"])
@pytest.mark.parametrize("is_first", [True, False])
def test_every_run_tells_its_home_also_the_one_that_makes_it(
    deploy: Deploy, prepared: Prepared, is_first: bool, copied: dict[str, str]
) -> None:
    place = deploy(home=None if is_first else prepared.history, **source_of(prepared.files))
    assert place.run(INGEST, FIRST if is_first else DAY, tags=copied).success
    (run,) = place.instance.get_runs()
    assert run.tags[HOME_TAG] == place.home.home_id


def test_a_published_day_is_open_to_the_readers_that_the_settings_name_and_its_scores_are_not(
    deploy: Deploy, prepared: Prepared
) -> None:
    place = deploy(home=prepared.ingested, files={"output_readers": "everyone"}, **source_of(prepared.files))
    place.detect(DAY)
    scores = place.home.lake.folder("scored_transactions", DAY)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (place.home.published_path(DAY), *scores.glob("*.parquet"))]
    assert modes[0] == 0o644
    assert set(modes[1:]) == {0o600}
