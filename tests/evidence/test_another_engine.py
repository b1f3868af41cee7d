"""Whatever engine a run and a case carry does all their fitting and judging, and every byte comes out the same."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cli.conftest import empty_folder

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.engine import Receipt, Work
from anomaly_assets.domain.judging import JudgedShard
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.compare import compare_day
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.settings import Detection, RedisSettings
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from evidence.conftest import DAYS

DAY = DAYS[-1]


class Backwards:
    """An engine that does the last piece of work first, and counts the models of what it did."""

    def __init__(self) -> None:
        self.models: Counter[str] = Counter()

    def map_work(self, function: Callable[[Work], Receipt], work: Iterable[Work]) -> Iterator[Receipt]:
        """See :class:`anomaly_assets.domain.engine.Engine`."""
        receipts = [function(piece) for piece in reversed(list(work))]
        for receipt in receipts:
            if isinstance(receipt, JudgedShard):
                self.models["judged"] += len(receipt.wallets)
            elif isinstance(receipt, list):
                self.models["fitted"] += len(receipt)
        return reversed(receipts)


def sealed(home: Home) -> dict[str, bytes]:
    """Every file of the lake and the output."""
    folders = (home.root / "lake", home.root / "output")
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_a_day_is_trained_scored_and_proved_by_another_engine(proved: Path) -> None:
    with empty_folder() as folder:
        left_out = shutil.ignore_patterns("dagster", "locks", "models", "store")
        shutil.copytree(proved / "home", folder / "home", ignore=left_out)
        home, engine = Home(folder / "home"), Backwards()
        before, case = sealed(home), Case.of(home, DAY)
        listed, judged = case.listed(None), case.listed(case.published.column("WALLET_ID").to_pylist())
        compute, detection = Compute(threads=2, other_engine=engine), Detection.of_record(case.settings)
        run = Run(home, "again", lambda: datetime(2024, 2, 1, tzinfo=UTC), lambda _: None, 5, compute)
        store = StoreProvider.from_settings(RedisSettings())
        train_models(run, store, detection, DAY)
        assert engine.models == {"fitted": len(listed)}
        score_day(run, store, detection, DAY)
        assert engine.models == {"fitted": len(listed), "judged": len(judged)}
        assert sealed(home) == before
        shutil.rmtree(home.models.root)
        engine.models.clear()
        proof = Verifier(home, compute=compute).verify(DAY)
        assert set(proof.grades().items()) >= {(Grade.RE_SCORED, Outcome.PROVEN), (Grade.RE_TRAINED, Outcome.PROVEN)}
        assert engine.models == {"fitted": len(judged) + len(listed), "judged": len(judged)}
        changes = {"isolation_forest.min_transactions": "60"}
        engine.models.clear()
        assert compare_day(home, DAY, changes, compute=compute) == compare_day(home, DAY, changes)
        assert engine.models["fitted"] == engine.models["judged"] > 0
