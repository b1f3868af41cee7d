"""Which home a run works on is told by a tag of the run: an instance may be shared."""

import pytest

from anomaly_assets.jobs import INGEST
from anomaly_assets.resources.home import HOME_TAG
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
