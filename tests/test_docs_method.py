"""docs/method.md tells the truth: its example is what the detectors give, and its formulas, worked out here, agree.

``REGENERATE=1`` writes the example into the page.
"""

import math
import os
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from anomaly_assets.domain.detectors.amount_and_hour import Shares, shares
from anomaly_assets.domain.detectors.amount_bands import LARGEST_AMOUNT
from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.detectors.forest_sampling import forest_seeds
from anomaly_assets.domain.detectors.forest_scoring import AMOUNT, LEAF
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.detectors.sklearn_forest import reference_matrix
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.explaining import intersection, whole_cents
from anomaly_assets.domain.judging import judge_rows
from anomaly_assets.domain.verdict import Verdicts
from anomaly_assets.domain.wallet_rows import WalletRows

PAGE = Path(__file__).resolve().parents[1] / "docs" / "method.md"
MARKS = ("<!-- example -->\n", "<!-- /example -->")
WIDTH, NAME = 118, 22
"""Characters of a line, and of the name before its figures."""

AMOUNTS = (12.0, 15.0, 18.0, 20.0, 22.0, 25.0, 30.0, 60.0)
HOURS = (9, 14, 9, 18, 14, 9, 18, 14)
JUDGED, HOUR = 250.0, 14
MIN_ROWS, TREES, SAMPLE, CONTAMINATION, SEED, LINE = len(AMOUNTS), 2, 4, 1 / 8, 42, 3.5


def rows_of(amounts: Sequence[float], hours: Sequence[int]) -> WalletRows:
    """Rows of one wallet, one a day, at these hours."""
    moments = (np.arange(len(amounts), dtype=np.int64) * 24 + np.array(hours)) * 3_600_000_000
    return WalletRows(["w"], np.array([0, len(amounts)]), moments, np.array(amounts, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Worked:
    """The example as the project computes it: both detectors, their models, and what they say of the judged row."""

    statistical: StatisticalDetector
    forest: IsolationForestDetector
    normal: Model
    trees: Model
    verdicts: Verdicts

    @property
    def training_scores(self) -> list[float]:
        """The forest's scores of its own training rows, in their order."""
        scores: list[float] = self.forest.judge(rows_of(AMOUNTS, HOURS), [self.trees]).score.tolist()
        return scores

    @property
    def shares(self) -> Shares:
        """Of the judged row."""
        return shares(
            lambda amounts, hours: self.forest.depths(self.trees, amounts=amounts, hours=hours),
            amount=JUDGED,
            hour=HOUR,
            background_amounts=np.array(AMOUNTS),
            background_hours=np.array(HOURS, dtype=np.uint8),
        )


@cache
def worked(*, seed: int = SEED, line: float = LINE) -> Worked:
    """The example, by the project's own code."""
    window = rows_of(AMOUNTS, HOURS)
    statistical = StatisticalDetector(min_transactions=MIN_ROWS, zscore_threshold=line)
    forest = IsolationForestDetector(
        min_transactions=MIN_ROWS,
        n_estimators=TREES,
        max_samples=SAMPLE,
        contamination=CONTAMINATION,
        random_state=seed,
    )
    normal, trees = statistical.fit(window, [0])[0], forest.fit(window, [0])[0]
    verdicts = judge_rows(
        [statistical, forest], rows_of([JUDGED], [HOUR]), {statistical.name: [normal], forest.name: [trees]}
    )
    return Worked(statistical, forest, normal, trees, verdicts)


def number(model: Model, name: str) -> float:
    return float(model.arrays[name][0])


def samples(*, seed: int = SEED) -> list[list[int]]:
    """Places of the rows that each tree is grown on, in the order of the window."""
    drawn = forest_seeds(seed, TREES).samples(len(AMOUNTS), SAMPLE)
    return [sorted(places) for places in drawn.tolist()]


def scaled(model: Model, amount: float) -> float:
    """The amount as the trees see it, by the formula of the page; float32."""
    return float(np.float32((math.log1p(amount) - number(model, "center")) / number(model, "scale")))


@dataclass(frozen=True)
class Leaf:
    """A leaf that a row came to: how many splits lie above it, and how many training rows it holds."""

    number: int
    splits: int
    rows: int


def walk(model: Model, amount: float, hour: int) -> list[Leaf]:
    """The leaf of a row in each tree, by the arrays as the page describes them: preorder, left subtree first."""
    features, leaves = iter(model.arrays["features"].tolist()), iter(enumerate(model.arrays["leaf_samples"].tolist()))
    thresholds, x = iter(model.arrays["thresholds"].tolist()), scaled(model, amount)

    def subtree(splits: int, *, here: bool) -> Iterator[Leaf]:
        feature = next(features)
        if feature == LEAF:
            place, n_rows = next(leaves)
            if here:
                yield Leaf(place, splits, n_rows)
            return
        left = x <= next(thresholds) if feature == AMOUNT else hour != feature - 1
        yield from subtree(splits + 1, here=here and left)
        yield from subtree(splits + 1, here=here and not left)

    return [leaf for _ in model.arrays["tree_nodes"] for leaf in subtree(0, here=True)]


def c(n: int) -> float:
    """The page's c(n)."""
    return n - 1.0 if n <= 2 else 2 * (math.log(n - 1) + 0.5772156649015329) - 2 * (n - 1) / n


def paths(model: Model, amount: float, hour: int) -> list[float]:
    """The path of a row in each tree, by the page's formula."""
    return [leaf.splits + c(leaf.rows) for leaf in walk(model, amount, hour)]


def drawn(model: Model, tree_samples: Sequence[Sequence[int]]) -> Iterator[str]:
    """The trees in words."""
    features, leaves = iter(model.arrays["features"].tolist()), iter(model.arrays["leaf_samples"].tolist())
    thresholds = iter(model.arrays["thresholds"].tolist())

    def subtree(indent: str, answer: str) -> Iterator[str]:
        feature = next(features)
        if feature == LEAF:
            n_rows = next(leaves)
            yield f"{indent}{answer}leaf of {n_rows} row{'s' if n_rows > 1 else ''}"
            return
        asked = f"amount <= {next(thresholds):.6f}?" if feature == AMOUNT else f"hour is not {feature - 1:02d}?"
        yield f"{indent}{answer}{asked}"
        yield from subtree(f"{indent}  ", "yes: ")
        yield from subtree(f"{indent}  ", "no: ")

    for tree, places in enumerate(tree_samples, start=1):
        yield f"tree {tree}, grown on {', '.join(row_text(AMOUNTS[place], HOURS[place]) for place in places)}"
        yield from subtree("  ", "")


def said(name: str, text: str) -> list[str]:
    """A named line, wrapped."""
    wrapped = textwrap.wrap(text, WIDTH - NAME, break_on_hyphens=False)
    return [f"{title:<{NAME}}{line}" for title, line in zip([name, *[""] * len(wrapped)], wrapped, strict=False)]


def row_text(amount: float, hour: int) -> str:
    return f"{amount:.2f} at {hour:02d}"


def several(values: Sequence[float]) -> str:
    return "  ".join(f"{value:.6f}" for value in values)


def bands(found: Sequence[tuple[float, float]]) -> str:
    """Bands of amounts in whole cents."""
    cents = [band for band in map(whole_cents, found) if band is not None]
    texts = [f"{low:,.2f} {'and more' if high == LARGEST_AMOUNT else f'to {high:,.2f}'}" for low, high in cents]
    return ", ".join(texts) or "none"


def shown(*, seed: int = SEED, line: float = LINE) -> str:
    """The example's block, from what the project computes."""
    of = worked(seed=seed, line=line)
    zscore, isolated = (of.verdicts.judgements[name] for name in (of.statistical.name, of.forest.name))
    z, score, flag_line, typical = (
        float(values[0]) for values in (zscore.score, isolated.score, isolated.flag_line, isolated.typical)
    )
    lengths = paths(of.trees, JUDGED, HOUR)
    mean = number(of.normal, "mean")
    deviation, x = number(of.normal, "std"), math.log1p(JUDGED)
    q = (z / line, (score - typical) / (flag_line - typical))
    normal = [of.statistical.normal_amounts(of.normal, hour=HOUR), of.forest.normal_amounts(of.trees, hour=HOUR)]
    share = of.shares

    def flag(*, flagged: bool, above: float) -> str:
        return f"above {above:g}: flagged" if flagged else f"not above {above:g}: not flagged"

    return "\n".join(
        [
            "```",
            *said("window", "  ".join(map(row_text, AMOUNTS[:4], HOURS[:4]))),
            *said("", "  ".join(map(row_text, AMOUNTS[4:], HOURS[4:]))),
            *said("judged", row_text(JUDGED, HOUR)),
            "",
            *said("x = ln(1 + a)", several([math.log1p(amount) for amount in AMOUNTS])),
            *said("mean, deviation", several([mean, deviation])),
            *said("zscore", f"({x:.6f} - {mean:.6f}) / {deviation:.6f} = {z:.6f}"),
            *said("", flag(flagged=bool(zscore.is_anomaly[0]), above=line)),
            "",
            *said("median, q75 - q25", several([number(of.trees, "center"), number(of.trees, "scale")])),
            *said("amounts, scaled", several([scaled(of.trees, amount) for amount in AMOUNTS])),
            *said("judged, scaled", f"{scaled(of.trees, JUDGED):.6f}"),
            *drawn(of.trees, samples(seed=seed)),
            *said("paths, their mean", f"{several(lengths)}, {sum(lengths) / TREES:.6f}"),
            *said(f"c({SAMPLE})", f"{c(SAMPLE):.6f}"),
            *said("score", f"2^-({sum(lengths) / TREES:.6f} / {c(SAMPLE):.6f}) = {score:.6f}"),
            *said("training scores", several(of.training_scores)),
            *said("flag line, typical", several([flag_line, typical])),
            *said("", flag(flagged=bool(isolated.is_anomaly[0]), above=round(flag_line, 6))),
            "",
            *said("q of the z-score", f"{z:.6f} / {line:g} = {q[0]:.6f}"),
            *said(
                "q of the forest",
                f"({score:.6f} - {typical:.6f}) / ({flag_line:.6f} - {typical:.6f}) = {q[1]:.6f}",
            ),
            *said("anomaly_score", f"1 - 2^-{max(q):.6f} = {of.verdicts.anomaly_score[0]:.6f}"),
            *said("reason", of.verdicts.reasons[0] or "none: not flagged"),
            "",
            *said(f"not flagged at {HOUR:02d}", f"by the z-score {bands(normal[0])}"),
            *said("", f"by the forest {bands(normal[1])}"),
            *said("", f"by neither {bands(intersection(normal))}"),
            *said("path, usual path", several([share.found, share.usual])),
            *said("shares", f"amount {share.amount:.6f}, hour {share.hour:.6f}"),
            "```",
            "",
        ]
    )


def written() -> tuple[str, str, str]:
    """The page before the example, the example, and the page after it."""
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    example, after = rest.split(MARKS[1])
    return before, example, after


def test_the_example_of_the_page_is_what_the_detectors_give() -> None:
    """Every figure, tree and sentence of the block; `REGENERATE=1` writes it."""
    before, example, after = written()
    if os.environ.get("REGENERATE") == "1":
        PAGE.write_text(before + MARKS[0] + shown() + MARKS[1] + after, encoding="utf-8")
        return
    assert example == shown()


def test_another_detector_would_give_another_example() -> None:
    """A seed or a line that is not the page's shows in the block, so the block can be wrong."""
    _, example, _ = written()
    assert shown(seed=SEED + 1) != example
    assert shown(line=LINE + 0.5) != example


def test_the_example_is_worth_reading() -> None:
    """Both detectors flag the judged row, and both kinds of split occur."""
    of = worked()
    assert [bool(each.is_anomaly[0]) for each in of.verdicts.judgements.values()] == [True, True]
    features = of.trees.arrays["features"]
    assert (features == AMOUNT).any()
    assert (features > AMOUNT).any()


def test_mean_deviation_and_zscore_are_those_of_the_formula() -> None:
    """The population's deviation of the logarithms, which is numpy's; the floor plays no part here."""
    of, x = worked(), [math.log1p(amount) for amount in AMOUNTS]
    mean = math.fsum(x) / len(x)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in x) / len(x))
    assert number(of.normal, "mean") == pytest.approx(mean, rel=1e-14)
    assert number(of.normal, "std") == pytest.approx(deviation, rel=1e-14) == pytest.approx(np.std(x), rel=1e-14)
    z = float(of.verdicts.judgements["statistical"].score[0])
    assert z == pytest.approx((math.log1p(JUDGED) - mean) / max(deviation, 0.01), rel=1e-13)


@pytest.mark.parametrize(
    ("scale", "amount", "floor"),
    [("log1p", 50.0, 0.01), ("signed_log1p", -50.0, 0.01), ("none", 50.0, 0.5), ("none", 0.2, 0.01)],
)
def test_a_constant_wallet_is_measured_by_the_floor_of_its_scale(scale: str, amount: float, floor: float) -> None:
    """0.01 on both logarithmic scales, max(0.01 abs(median), 0.01) on `none`."""
    detector, other = StatisticalDetector(min_transactions=MIN_ROWS, amount_scale=scale), 2 * amount
    model = detector.fit(rows_of([amount] * MIN_ROWS, HOURS), [0])[0]
    scales: dict[str, Callable[[float], float]] = {
        "log1p": math.log1p,
        "signed_log1p": lambda value: math.copysign(math.log1p(abs(value)), value),
        "none": float,
    }
    on_scale = scales[scale]
    z = detector.score_one(model, amount=other, completed_at_us=0)
    assert z == pytest.approx((on_scale(other) - on_scale(amount)) / floor, rel=1e-12)


def test_amounts_are_scaled_by_median_and_range_of_the_quartiles() -> None:
    """numpy's median and linear percentiles of the logarithms."""
    of, x = worked(), [math.log1p(amount) for amount in AMOUNTS]
    assert number(of.trees, "center") == pytest.approx(np.median(x), rel=1e-14)
    assert number(of.trees, "scale") == pytest.approx(np.subtract(*np.percentile(x, [75, 25])), rel=1e-13)


def test_each_tree_holds_the_rows_that_were_drawn_for_it() -> None:
    """Samples come from numpy's generator as the page's sources say, and each leaf counts those that come to it."""
    seeds = np.random.RandomState(SEED).randint(2**31 - 1, size=TREES)
    assert samples() == [sorted(np.random.RandomState(seed).permutation(len(AMOUNTS))[:SAMPLE]) for seed in seeds]
    trees, came = worked().trees, [0] * len(worked().trees.arrays["leaf_samples"])
    for tree, places in enumerate(samples()):
        for place in places:
            came[walk(trees, AMOUNTS[place], HOURS[place])[tree].number] += 1
    assert came == trees.arrays["leaf_samples"].tolist()


def test_scores_are_those_of_paths_and_c() -> None:
    """2^(-E[h] / c(psi)) of the judged row and of every training row, the paths walked by hand."""
    of = worked()

    def by_hand(amount: float, hour: int) -> float:
        return 2.0 ** -(sum(paths(of.trees, amount, hour)) / TREES / c(SAMPLE))

    assert float(of.verdicts.judgements["isolation_forest"].score[0]) == pytest.approx(by_hand(JUDGED, HOUR), rel=1e-13)
    of_window = [by_hand(amount, hour) for amount, hour in zip(AMOUNTS, HOURS, strict=True)]
    assert of.training_scores == pytest.approx(of_window, rel=1e-13)
    assert (c(1), c(2)) == (0.0, 1.0)


def test_line_and_typical_score_are_percentiles_of_the_training_scores() -> None:
    """Linear percentiles of the negative scores, as numpy takes them."""
    of = worked()
    negative = [-score for score in of.training_scores]
    assert number(of.trees, "flag_line") == -np.percentile(negative, 100 * CONTAMINATION)
    assert number(of.trees, "typical") == -np.percentile(negative, 50)
    first, second = sorted(of.training_scores, reverse=True)[:2]
    assert number(of.trees, "flag_line") == pytest.approx(first + 7 / 8 * (second - first), rel=1e-13)


def test_scikit_learn_alone_gives_the_scores_and_the_line() -> None:
    """An IsolationForest on the 25 columns, with the example's settings."""
    of = worked()
    matrices = [
        reference_matrix(
            np.array([scaled(of.trees, amount) for amount in amounts], dtype=np.float32),
            np.array(hours, dtype=np.uint8),
        )
        for amounts, hours in ((AMOUNTS, HOURS), ([JUDGED], [HOUR]))
    ]
    fitted = IsolationForest(
        n_estimators=TREES, max_samples=SAMPLE, contamination=CONTAMINATION, random_state=SEED
    ).fit(matrices[0])
    assert -fitted.score_samples(matrices[0]) == pytest.approx(of.training_scores, rel=1e-14)
    assert -fitted.offset_ == pytest.approx(number(of.trees, "flag_line"), rel=1e-14)
    score = float(of.verdicts.judgements["isolation_forest"].score[0])
    assert -fitted.score_samples(matrices[1])[0] == pytest.approx(score, rel=1e-14)
    assert fitted.predict(matrices[1]).tolist() == [-1]


def test_the_anomaly_score_is_that_of_the_largest_q() -> None:
    """1 - 2^-max(q, 0) over both detectors."""
    found = worked().verdicts
    of_each = [
        float((each.value[0] - each.typical[0]) / (each.flag_line[0] - each.typical[0]))
        for each in found.judgements.values()
    ]
    assert float(found.anomaly_score[0]) == pytest.approx(1 - 2 ** -max(*of_each, 0.0), rel=1e-14)


def test_shares_are_those_of_the_formula() -> None:
    """v over the background rows, what is known taken from the judged row; the paths walked by hand."""
    of, background = worked(), list(zip(AMOUNTS, HOURS, strict=True))

    def v(amount: float | None = None, hour: int | None = None) -> float:
        known = [(a if amount is None else amount, h if hour is None else hour) for a, h in background]
        return math.fsum(sum(paths(of.trees, a, h)) / TREES for a, h in known) / len(known)

    both, found = v(JUDGED, HOUR), of.shares
    assert found.amount == pytest.approx(((v(amount=JUDGED) - v()) + (both - v(hour=HOUR))) / 2, abs=1e-12)
    assert found.hour == pytest.approx(((v(hour=HOUR) - v()) + (both - v(amount=JUDGED))) / 2, abs=1e-12)
    assert found.amount + found.hour == pytest.approx(both - v(), abs=1e-12)
