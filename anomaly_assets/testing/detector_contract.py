"""What every detector keeps, whatever it computes: a suite that the tests of a detector derive from.

    from anomaly_assets.testing.detector_contract import DetectorContract

    class TestMyDetector(DetectorContract):
        detector_class = MyDetector

Claims about an ability are made of detectors that declare it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from anomaly_assets.domain.artifacts import given_window
from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import Ability, Detector, DetectorClass, DetectorStatus, Judgement, Model
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.model_codec import decode, encode
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.wallet_rows import WalletRows

HOUR_US = 3_600_000_000
SIZES = (400, 3, 150, 250)
WINDOW_END = date(1970, 6, 30)


def rows_of(parts: list[tuple[str, np.ndarray, np.ndarray]]) -> WalletRows:
    """Rows of wallets given as (id, hours since the epoch, amounts)."""
    offsets = np.concatenate([[0], np.cumsum([len(amounts) for _, _, amounts in parts])]).astype(np.int64)
    moments = np.concatenate([np.zeros(0), *(hours for _, hours, _ in parts)]).astype(np.int64) * HOUR_US
    amounts = np.concatenate([np.zeros(0), *(amounts for _, _, amounts in parts)])
    return WalletRows([wallet_id for wallet_id, _, _ in parts], offsets, moments, amounts)


def wallet(seed: int, n_rows: int) -> tuple[str, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    hours = np.sort(random.integers(0, 180, n_rows)) * 24 + random.integers(8, 20, n_rows)
    return f"w{seed}", hours, np.round(random.lognormal(3 + seed % 3, 0.5, n_rows), 2)


def window() -> WalletRows:
    return rows_of([wallet(seed, n_rows) for seed, n_rows in enumerate(SIZES)])


def day(n_rows: int = 20) -> WalletRows:
    return rows_of([wallet(100 + seed, n_rows) for seed in range(len(SIZES))])


def eligible(detector: Detector, rows: WalletRows) -> list[int]:
    return [w for w, status in enumerate(detector.eligibility(rows)) if status is DetectorStatus.JUDGED]


def models_of(detector: Detector, rows: WalletRows) -> list[Model | None]:
    models: list[Model | None] = [None] * rows.n_wallets
    wallets = eligible(detector, rows)
    for w, model in zip(wallets, detector.fit(rows, wallets), strict=True):
        models[w] = model
    return models


def content(judgement: Judgement) -> list[object]:
    arrays = (judgement.judged, judgement.is_anomaly, judgement.score, judgement.value)
    lines = (judgement.typical, judgement.flag_line)
    return [a.tobytes() for a in (*arrays, *lines)] + [{k: v.to_pylist() for k, v in judgement.extra.items()}]


def copies(rows: WalletRows) -> list[bytes]:
    return [rows.offsets.tobytes(), rows.completed_at_us.tobytes(), rows.amounts.tobytes()]


def histories(scale: str) -> WalletRows:
    """Wallets with usual, tied and lumpy amounts at many hours or few; refunds where the scale takes them."""
    random = np.random.default_rng(7)
    days = np.sort(random.integers(0, 180, 300)) * 24
    usual = np.round(random.lognormal(3, 0.6, 300), 2)
    tied = random.choice([9.99, 10.0, 10.01, 50.0], 300)
    lumpy = np.round(np.where(random.random(300) < 0.5, random.normal(20, 1, 300), random.normal(5000, 50, 300)), 2)
    if scale != "log1p":
        usual = usual * random.choice([1.0, -1.0], 300, p=[0.8, 0.2])
    few, one, many = days + random.choice([9, 21], 300, p=[0.95, 0.05]), days + 12, days + random.integers(0, 24, 300)
    return rows_of([("few", few, usual), ("lumpy", many, lumpy), ("one", one, tied), ("tied", few, tied)])


def probes(bands: list[tuple[float, float]], low: float, seed: int) -> np.ndarray:
    """Amounts around every edge (neighbouring float64 and cents) and anywhere, between ``low`` and 1e15."""
    edges = np.array([edge for band in bands for edge in band])
    cents = np.round(edges[:, None], 2) + np.arange(-5, 6) / 100
    beside = [edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), np.round(cents, 2).ravel()]
    random = np.random.default_rng(seed)
    sizes = np.concatenate([np.round(random.lognormal(3, 2, 100), 2), 10 ** random.uniform(-3, 15, 30)])
    amounts = np.concatenate([*beside, sizes, -sizes, [low, 0.0, 0.01, 1e15]])
    return amounts[(amounts >= low) & (amounts <= 1e15)]


def nothing_before(rows: WalletRows) -> WalletRows:
    """No rows before a day of these wallets."""
    offsets = np.zeros(rows.n_wallets + 1, np.int64)
    return WalletRows(rows.wallet_ids, offsets, np.empty(0, np.int64), np.empty(0), pa.array([], pa.large_string()))


def judged(
    detector: Detector, rows: WalletRows, models: Sequence[Model | None], before: WalletRows | None = None
) -> Judgement:
    """The detector's judgement on rows before which nothing came, unless ``before`` says what did."""
    if detector.needs.running_state_hours and before is None:
        before = nothing_before(rows)
    return detector.judge(rows, models, before)


def with_ids(rows: WalletRows) -> WalletRows:
    """The rows with ids, as rows before a day have them."""
    ids = pa.array([f"{row:08d}" for row in range(rows.n_rows)], pa.large_string())
    return replace(rows, tx_ids=ids)


def parts_of(rows: WalletRows) -> tuple[WalletRows, WalletRows]:
    """Of each wallet the first half of its rows, with ids, and the second."""
    middles = [(part.start + part.stop) // 2 for part in rows.slices()]
    starts, ends = rows.offsets[:-1].tolist(), rows.offsets[1:].tolist()
    return with_ids(_chosen(rows, starts, middles)), _chosen(rows, middles, ends)


def _chosen(rows: WalletRows, starts: Sequence[int], ends: Sequence[int]) -> WalletRows:
    places = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)])
    counts = [end - start for start, end in zip(starts, ends, strict=True)]
    offsets = np.cumsum([0, *counts], dtype=np.int64)
    return WalletRows(rows.wallet_ids, offsets, rows.completed_at_us[places], rows.amounts[places])


class DetectorContract:
    """The suite. Its tests run with a detector of default settings, or with those that :meth:`built` is asked for.

    Attributes
    ----------
    detector_class : the class under test
    variants : settings under which bands are tried, those that the class has
    fewest_rows : fewest rows of a wallet that are enough, 2 at least; None: those of the setting ``min_transactions``
    """

    detector_class: ClassVar[DetectorClass]
    variants: ClassVar[Sequence[Mapping[str, Any]]] = (
        {},
        {"amount_scale": "none"},
        {"amount_scale": "signed_log1p", "two_sided": True},
    )
    fewest_rows: ClassVar[int | None] = None

    @pytest.fixture
    def detector(self) -> Detector:
        """A detector of default settings, given what the day after ``window()`` gives it."""
        return self.built({})

    def built(self, settings: Mapping[str, Any]) -> Detector:
        """The same with those of these settings that it has."""
        known = vars(self.detector_class())
        detector = self.detector_class(**{key: value for key, value in settings.items() if key in known})
        return given_window(detector, window(), WINDOW_END)

    def require(self, ability: Ability) -> None:
        """Skip a claim about an ability that the detector does not declare."""
        if ability not in self.detector_class.abilities:
            pytest.skip(f"{self.detector_class.name} does not say {ability}")

    def require_artifacts(self) -> None:
        """Skip a claim about detectors that are given something of the population."""
        if not self.detector_class.needs.artifacts:
            pytest.skip(f"{self.detector_class.name} is given nothing of the population")

    def require_needs(self, *, amount: bool = False, running_state: bool | None = None) -> None:
        """Skip a claim about detectors that read amounts, or that do, or do not, look back."""
        name, needs = self.detector_class.name, self.detector_class.needs
        if amount and not needs.amount:
            pytest.skip(f"{name} reads no amounts")
        if running_state is not None and running_state != bool(needs.running_state_hours):
            pytest.skip(f"{name} {'does not look' if running_state else 'looks'} back")

    def test_fitting_again_gives_the_same_models(self, detector: Detector) -> None:
        first, second = (detector.fit(window(), eligible(detector, window())) for _ in range(2))
        assert [model.model_id for model in first] == [model.model_id for model in second]
        assert len({model.model_id for model in first}) == len(first) == 3

    def test_a_model_is_the_same_fitted_alone_together_or_among_other_wallets(self, detector: Detector) -> None:
        together = models_of(detector, window())
        for w, model in enumerate(together):
            if model is not None:
                alone = rows_of([wallet(w, SIZES[w])])
                assert detector.fit(alone, [0])[0].model_id == model.model_id
        wallets = eligible(detector, window())
        backwards = detector.fit(window(), wallets[::-1])
        assert [model.model_id for model in backwards[::-1]] == [together[w].model_id for w in wallets]  # type: ignore[union-attr]
        reordered = rows_of([wallet(w, SIZES[w]) for w in (3, 1, 0, 2)])
        ids = [model and model.model_id for model in models_of(detector, reordered)]
        assert ids == [together[w] and together[w].model_id for w in (3, 1, 0, 2)]  # type: ignore[union-attr]

    def test_a_models_identity_holds_no_dates(self, detector: Detector) -> None:
        later = window()
        shifted = WalletRows(
            later.wallet_ids, later.offsets, later.completed_at_us + 24 * HOUR_US * 1000, later.amounts
        )
        of_day = detector.of_day
        assert of_day is not None
        moved = detector.given(replace(of_day, window_end=WINDOW_END + timedelta(days=1000)))
        ids = [
            [model.model_id for model in given.fit(rows, eligible(given, rows))]
            for given, rows in ((detector, window()), (moved, shifted))
        ]
        assert ids[0] == ids[1]

    def test_what_is_made_of_the_population_is_small_names_no_wallet_and_knows_no_order(
        self, detector: Detector
    ) -> None:
        self.require_artifacts()
        reordered = given_window(
            self.detector_class(), rows_of([wallet(w, SIZES[w]) for w in (3, 1, 0, 2)]), WINDOW_END
        )
        nobody = given_window(self.detector_class(), rows_of([]), WINDOW_END)
        for need in detector.needs.artifacts:
            tables = [given.of_day.artifacts[need.name] for given in (detector, reordered, nobody) if given.of_day]
            assert table_digest(tables[0]) == table_digest(tables[1])
            assert tables[2].schema == tables[0].schema
        many = given_window(self.detector_class(), rows_of([wallet(w, 150) for w in range(40)]), WINDOW_END)
        assert many.of_day is not None
        assert detector.of_day is not None
        sizes = [sum(t.nbytes for t in each.artifacts.values()) for each in (many.of_day, detector.of_day)]
        assert sizes[0] <= 2 * sizes[1], "of ten times as many wallets hardly more is told"

    def test_what_another_day_gave_is_forgotten(self, detector: Detector) -> None:
        self.require_artifacts()
        others = rows_of([wallet(100 + seed, 2 * n_rows) for seed, n_rows in enumerate(SIZES)])
        other = given_window(self.detector_class(), others, WINDOW_END)
        models = models_of(other, window())
        judged(other, day(), models)
        assert detector.of_day is not None
        again = other.given(detector.of_day)
        assert content(judged(again, day(), models_of(again, window()))) == content(
            judged(detector, day(), models_of(detector, window()))
        )

    def test_its_models_follow_from_its_artifacts(self, detector: Detector) -> None:
        """Of another population something comes out otherwise, be it what is fitted or what is judged."""
        self.require_artifacts()
        others = rows_of([wallet(100 + seed, 2 * n_rows) for seed, n_rows in enumerate(SIZES)])
        other = given_window(self.detector_class(), others, WINDOW_END)
        models, of_others = (models_of(given, window()) for given in (detector, other))
        ids = [[model and model.model_id for model in fitted] for fitted in (models, of_others)]
        judgements = [content(judged(*pair)) for pair in ((detector, day(), models), (other, day(), of_others))]
        assert (ids[0], judgements[0]) != (ids[1], judgements[1])

    def test_without_its_artifacts_it_neither_fits_nor_judges(self, detector: Detector) -> None:
        self.require_artifacts()
        models, of_day = models_of(detector, window()), detector.of_day
        assert of_day is not None
        for need in detector.needs.artifacts:
            others = {name: table for name, table in of_day.artifacts.items() if name != need.name}
            without = detector.given(replace(of_day, artifacts=others))
            with pytest.raises(ValueError, match="artifact"):
                judged(without, day(), models if need.after_fits else models_of(without, window()))

    def test_neither_fitting_nor_judging_changes_its_inputs(self, detector: Detector) -> None:
        rows, scored = window(), day()
        before = copies(rows), copies(scored)
        models = models_of(detector, rows)
        arrays = [{name: array.tobytes() for name, array in m.arrays.items()} for m in models if m is not None]
        judged(detector, scored, models)
        assert (copies(rows), copies(scored)) == before
        assert [{name: array.tobytes() for name, array in m.arrays.items()} for m in models if m is not None] == arrays

    def test_a_stored_model_judges_as_the_fitted_one_and_keeps_its_id(self, detector: Detector) -> None:
        models = models_of(detector, window())
        stored = [model and decode(encode(model)) for model in models]
        assert [m and m.model_id for m in stored] == [m and m.model_id for m in models]
        assert content(judged(detector, day(), stored)) == content(judged(detector, day(), models))
        for model in stored:
            if model is not None:
                detector.validate(model)

    def test_a_row_is_judged_alike_alone_and_in_company(self, detector: Detector) -> None:
        self.require_needs(running_state=False)
        models = models_of(detector, window())
        together = judged(detector, day(), models)
        for w, part in enumerate(day().slices()):
            rows = day()
            for row in range(part.start, part.stop, 7):
                one = WalletRows(["w"], np.array([0, 1]), rows.completed_at_us[[row]], rows.amounts[[row]])
                alone = judged(detector, one, [models[w]])
                assert alone.is_anomaly[0] == together.is_anomaly[row]
                assert alone.score.tobytes() == together.score[[row]].tobytes()

    def test_a_day_in_two_parts_is_judged_as_at_once(self, detector: Detector) -> None:
        """What came before counts as if it were of the day itself."""
        self.require_needs(running_state=True)
        models, whole = models_of(detector, window()), day(200)
        first, second = parts_of(whole)
        at_once = judged(detector, whole, models)
        later = judged(detector, second, models, first)
        places = np.concatenate([np.arange((part.start + part.stop) // 2, part.stop) for part in whole.slices()])
        assert later.score.tobytes() == at_once.score[places].tobytes()
        assert later.is_anomaly.tolist() == at_once.is_anomaly[places].tolist()
        assert later.score.tobytes() != judged(detector, second, models).score.tobytes(), "it does look back"

    def test_rows_further_back_than_declared_do_not_count(self, detector: Detector) -> None:
        self.require_needs(running_state=True)
        models, rows = models_of(detector, window()), day()
        first = min(rows.completed_at_us[part.start] for part in rows.slices())
        moments = np.full(rows.n_rows, first - detector.needs.running_state_hours * HOUR_US - 1)
        before = with_ids(replace(rows, completed_at_us=moments))
        assert content(judged(detector, rows, models, before)) == content(judged(detector, rows, models))

    def test_a_wallet_without_a_model_is_not_judged_not_flagged_and_has_no_numbers(self, detector: Detector) -> None:
        judgement = judged(detector, day(), models_of(detector, window()))
        assert judgement.judged.tolist() == [True] * 20 + [False] * 20 + [True] * 40
        assert not judgement.is_anomaly[20:40].any()
        for numbers in (judgement.score, judgement.value, judgement.typical, judgement.flag_line):
            assert np.isnan(numbers[20:40]).all()
            assert np.isfinite(np.delete(numbers, np.s_[20:40])).all()
        for column in judgement.extra.values():
            assert column.slice(20, 20).null_count == 20
            assert column.null_count == 20

    def test_a_row_is_flagged_exactly_when_its_value_is_above_its_line(self, detector: Detector) -> None:
        judgement = judged(detector, day(200), models_of(detector, window()))
        where = judgement.judged
        assert (judgement.is_anomaly[where] == (judgement.value > judgement.flag_line)[where]).all()
        assert (judgement.typical[where] <= judgement.flag_line[where]).all()

    def test_extra_columns_are_the_declared_ones(self, detector: Detector) -> None:
        judgement = judged(detector, day(), models_of(detector, window()))
        assert {f.name: f.type for f in detector.extra_columns} == {k: v.type for k, v in judgement.extra.items()}
        assert all(len(column) == day().n_rows for column in judgement.extra.values())
        assert all(isinstance(f, pa.Field) and f.nullable for f in detector.extra_columns)

    def test_eligibility_says_why_not_and_never_no_history(self, detector: Detector) -> None:
        minimum = self.fewest_rows or detector.fit_parameters["min_transactions"]
        rows = rows_of([wallet(0, minimum - 1), wallet(1, minimum), wallet(2, 1)])
        assert detector.eligibility(rows) == [
            DetectorStatus.INSUFFICIENT_HISTORY,
            DetectorStatus.JUDGED,
            DetectorStatus.INSUFFICIENT_HISTORY,
        ]

    def test_no_wallets_and_no_rows_are_no_special_cases(self, detector: Detector) -> None:
        nothing = rows_of([])
        assert detector.eligibility(nothing) == []
        assert detector.fit(nothing, []) == []
        assert judged(detector, nothing, []).score.tolist() == []
        empty_days = rows_of([wallet(seed, 0) for seed in range(len(SIZES))])
        judgement = judged(detector, empty_days, models_of(detector, window()))
        assert judgement.judged.tolist() == []
        assert all(len(column) == 0 for column in judgement.extra.values())

    def test_an_ineligible_wallet_cannot_be_fitted(self, detector: Detector) -> None:
        with pytest.raises(ValueError, match="rows"):
            detector.fit(window(), [1])

    def test_one_transaction_has_the_score_it_has_among_all(self, detector: Detector) -> None:
        self.require_needs(running_state=False)
        models = models_of(detector, window())
        judgement, scored = judged(detector, day(), models), day()
        for wallet, (part, model) in enumerate(zip(scored.slices(), models, strict=True)):
            if model is None:
                continue
            amount, moment = float(scored.amounts[part.start]), int(scored.completed_at_us[part.start])
            alone = detector.score_one(model, amount=amount, completed_at_us=moment)
            assert alone == judgement.score[part.start], wallet

    def test_the_number_of_models_must_be_the_number_of_wallets(self, detector: Detector) -> None:
        with pytest.raises(ValueError, match=r"shorter|longer"):
            judged(detector, day(), [None])

    def test_a_model_of_another_detector_is_refused(self, detector: Detector) -> None:
        others = [other for name, other in DETECTORS.items() if name != detector.name]
        assert others
        for other in others:
            model = given_window(other(), window(), WINDOW_END).fit(window(), [0])[0]
            with pytest.raises(ModelFormatError):
                detector.validate(model)
            with pytest.raises(ModelFormatError):
                judged(detector, day(), [model, None, None, None])

    def test_a_planted_outlier_ranks_above_nearly_all_usual_rows(self, detector: Detector) -> None:
        self.require_needs(amount=True)
        for seed in range(10):
            random = np.random.default_rng(seed)
            _, days, amounts = wallet(seed, 801)
            hours = days // 24 * 24 + random.choice([9, 12, 13, 18, 21], 801, p=[0.4, 0.3, 0.2, 0.09, 0.01])
            hours[-1], amounts[-1] = 21, 1000 * amounts.max()
            model = detector.fit(rows_of([("w", hours[:600], amounts[:600])]), [0])
            judgement = judged(detector, rows_of([("w", hours[600:], amounts[600:])]), model)
            assert (judgement.value[:-1] < judgement.value[-1]).mean() >= 0.98
            assert judgement.is_anomaly[-1]
            assert judgement.is_anomaly[:-1].mean() < 0.05

    def test_the_reason_is_one_sentence_with_the_amount_and_the_flag_line(self, detector: Detector) -> None:
        self.require(Ability.REASONS)
        model = detector.fit(window(), [0])[0]
        judgement = judged(detector, rows_of([("w", np.array([9]), np.array([87654321.0]))]), [model])
        reason = detector.reason(model, amount=87654321.0, completed_at_us=9 * HOUR_US, score=float(judgement.score[0]))
        assert reason.startswith("amount 87,654,321.00 ")
        assert "the flag line is " in reason
        assert re.fullmatch(r"[ -~]+[^.]", reason)
        assert len(reason) < 300

    def test_every_number_that_leaves_a_detector_is_higher_for_the_more_anomalous(self, detector: Detector) -> None:
        self.require_needs(amount=True)
        model = detector.fit(window(), [0])[0]
        usual = float(np.median(window().amounts[: SIZES[0]]))
        judgement = judged(detector, rows_of([("w", np.array([9, 9]), np.array([usual, 1e9]))]), [model])
        assert judgement.score[0] < judgement.score[1]
        assert judgement.value[0] < judgement.value[1]

    @pytest.mark.parametrize("variant", range(3))
    def test_an_amount_is_flagged_at_an_hour_exactly_when_it_lies_in_no_normal_band(self, variant: int) -> None:
        """Around every edge to the next float64, at all 24 hours, for wallets with ties and with few hours."""
        self.require(Ability.BANDS)
        detector = self.built(self.variants[variant])
        scale = detector.fit_parameters["amount_scale"]
        rows, low = histories(scale), 0.0 if scale == "log1p" else -1e15
        seen = set()
        for model in detector.fit(rows, range(rows.n_wallets)):
            for hour in range(24):
                bands = detector.normal_amounts(model, hour=hour)
                amounts = probes(bands, low, hour)
                moments = np.full(len(amounts), hour * HOUR_US)
                judgement = judged(detector, WalletRows(["w"], np.array([0, len(amounts)]), moments, amounts), [model])
                inside = np.zeros(len(amounts), dtype=bool)
                for first, last in bands:
                    inside |= (first <= amounts) & (amounts <= last)
                assert (inside == ~judgement.is_anomaly).all(), amounts[inside == judgement.is_anomaly]
                some = slice(0, None, 29)
                alone = [detector.score_one(model, amount=a, completed_at_us=hour * HOUR_US) for a in amounts[some]]
                assert alone == judgement.score[some].tolist()
                seen |= {*inside.tolist()}
        assert seen == {True, False}

    def test_normal_bands_are_ascending_apart_and_within_what_amounts_can_be(self, detector: Detector) -> None:
        self.require(Ability.BANDS)
        for model in detector.fit(histories("log1p"), range(4)):
            for hour in range(24):
                bands = detector.normal_amounts(model, hour=hour)
                assert all(type(edge) is float for band in bands for edge in band)
                edges = [edge for band in bands for edge in band]
                assert edges == sorted(edges)
                assert all(first <= last for first, last in bands)
                assert all(np.nextafter(before[1], np.inf) < after[0] for before, after in pairwise(bands))
                assert not edges or (edges[0] >= 0.0 and edges[-1] <= 1e15)

    def test_every_usual_wallet_has_normal_amounts_at_its_hours_that_hold_most_of_its_history(
        self, detector: Detector
    ) -> None:
        self.require(Ability.BANDS)
        rows = histories("log1p")
        for part, model in zip(rows.slices(), detector.fit(rows, range(4)), strict=True):
            bands = {hour: detector.normal_amounts(model, hour=hour) for hour in range(24)}
            pairs = zip(rows.amounts[part].tolist(), rows.hours[part].tolist(), strict=True)
            normal = [any(first <= amount <= last for first, last in bands[hour]) for amount, hour in pairs]
            assert np.mean(normal) >= 0.98
