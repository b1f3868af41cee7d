"""What each detector says of a transaction, as a part of its page."""

import json
from collections.abc import Iterator

from anomaly_assets.domain.detectors import can
from anomaly_assets.domain.detectors.base import Ability
from anomaly_assets.domain.detectors.wording import amount_text
from anomaly_assets.evidence.deviations_picture import deviations_picture
from anomaly_assets.evidence.explain import DetectorExplanation, Explanation
from anomaly_assets.evidence.traced import TracedDetector, TracedModel
from anomaly_assets.reports.page import Html, badge, code, el, facts, image, join, section, words


def detector_section(traced: TracedDetector, said: DetectorExplanation | None, explanation: Explanation | None) -> Html:
    """A detector's verdict, its numbers, its picture if it has one, and the model that judged.

    Parameters
    ----------
    traced : what a trace holds of the detector
    said, explanation : what it says of the row, and the whole of it; None where nothing was explained
    """
    judged = traced.score is not None
    verdict = badge("flagged", "bad") if traced.flagged else badge("not flagged", "good")
    parts: list[str] = [el("p", verdict if judged else badge(words(traced.status), "doubtful"))]
    if said is not None and said.sentence:
        parts.append(el("p", said.sentence))
    parts += [facts(_numbers(traced, said))] if judged else []
    if explanation is not None and said is not None and can(said.detector, Ability.DEVIATIONS):
        drawn = deviations_picture(explanation, said)
        parts += [image(drawn, _seen(traced, explanation))] if drawn else []
    if traced.model is not None:
        parts += [el("p", f"Not judged again: {traced.missing}.")] if traced.missing else []
        parts += [el("h3", "The model that judged"), facts(_model(traced.model))]
    return section(f"Detector: {words(traced.detector)}", *parts)


def _numbers(traced: TracedDetector, said: DetectorExplanation | None) -> Iterator[tuple[str, str]]:
    yield "score", f"{traced.score:.6f}"
    value, threshold, typical = (
        (said.value, said.threshold, said.typical) if said else (None, traced.flag_line, traced.typical)
    )
    if value is not None and value != traced.score:
        yield "compared with the threshold", f"{value:.6f}"
    if threshold is not None:
        yield "threshold", f"{threshold:.6f}, flagged above it"
    if typical is not None:
        yield "a typical transaction has", f"{typical:.6f}"
    if said is None:
        return
    if said.flag_lines:
        yield "flags begin at", " and ".join(map(amount_text, said.flag_lines))
    if parts := said.shares:
        yield "told apart after", f"{parts.found:.2f} splits; this wallet's rows after {parts.usual:.2f} on average"
        yield "of that difference", f"{parts.amount:+.2f} by its amount, {parts.hour:+.2f} by its hour"


def _model(model: TracedModel) -> Iterator[tuple[str, str]]:
    kept = "kept in the archive" if model.archived else "not kept any more: proving it fits it again"
    yield "model", code(model.model_id)
    yield "payload", f"{model.n_bytes:,} bytes, {kept}"
    yield "recipe", code(model.recipe_id)
    for name, digest in model.artifacts.items():
        yield f"population artifact {name}", code(digest)
    yield "fitted on", f"{model.n_transactions:,} transactions of the wallet"
    yield "parameters", ", ".join(f"{name} = {value}" for name, value in model.parameters.items())
    yield "numbers", join(", ".join(f"{name} = {value:.10g}" for name, value in json.loads(model.summary).items()))


def _seen(traced: TracedDetector, explanation: Explanation) -> str:
    """The picture in words."""
    return (
        f"Histogram of the wallet's {explanation.history.n_rows:,} amounts in the window with their mean, the flag "
        f"line and this transaction, {traced.score:+.2f} standard deviations from the mean"
    )
