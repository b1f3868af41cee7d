"""The evidence of ``trace`` as a tree of what can be opened."""

import json
from collections.abc import Mapping

import streamlit as st

from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.evidence.since import Since, since_words
from anomaly_assets.evidence.traced import LoggedRun, TracedDay, TracedDetector, TracedWindow, UnscoredDay


def evidence_tree(traced: TracedDay | UnscoredDay, dagster_address: str) -> None:
    """Models, training data, runs, files and what changed since, of one day of a trace."""
    if isinstance(traced, UnscoredDay):
        st.json(dict(traced.place.as_json()), expanded=True)
        return
    for detector in traced.detectors:
        _model(detector)
    _window(traced.window)
    _looked_back(traced)
    _runs(traced.runs, dagster_address.rstrip("/"))
    _since(traced.since)
    with st.expander("Files, with their digests", icon=":material/folder:"):
        published = traced.files.published
        state = "" if published.is_these_scores else " (not these scores)"
        st.text(f"{readable('published')}: {published.file}{state}")
        for asset, file in traced.files.sealed.items():
            st.text(f"{readable(asset)}: {file.file}")
            st.code(file.sha256, language=None)
        st.text("revision of the scores")
        st.code(traced.revision, language=None)
    with st.expander("Settings", icon=":material/tune:"):
        st.json(dict(traced.settings_as_json))


def _model(detector: TracedDetector) -> None:
    model, name = detector.model, readable(detector.detector)
    if model is None:
        with st.expander(f"Model: {name}, none ({readable(detector.status)})", icon=":material/model_training:"):
            st.text("No model of this wallet judged the transaction.")
        return
    kept = "" if model.archived else " (payload not kept any more: verify fits it again)"
    label = f"Model: {name} `{model.model_id[:16]}`, fitted on {model.n_transactions:,} transactions{kept}"
    with st.expander(label, icon=":material/model_training:"):
        if detector.missing:
            st.text(f"Not judged again: {detector.missing}")
        st.text("model id")
        st.code(model.model_id, language=None)
        st.text("recipe id")
        st.code(model.recipe_id, language=None)
        for artifact, digest in model.artifacts.items():
            st.text(f"population artifact {artifact}")
            st.code(digest, language=None)
        st.text(f"{model.n_bytes:,} bytes")
        st.json({"parameters": dict(model.parameters), "numbers": json.loads(model.summary)})


def _window(window: TracedWindow) -> None:
    wallet, missing = window.wallet, window.days_missing
    rows = "no transaction of this wallet" if wallet is None else f"{wallet.n_transactions:,} of this wallet"
    label = f"Training data: {window.first} to {window.end} (excluded), {window.days_pinned} days pinned, {rows}"
    with st.expander(label, icon=":material/date_range:"):
        if missing:
            st.warning(f"{len(missing)} days are missing: {', '.join(map(str, missing))}")
        st.text("manifest of the pinned days")
        st.code(window.manifest_id, language=None)
        if wallet is not None:
            st.text(f"{wallet.first_at.isoformat()} to {wallet.last_at.isoformat()}; digest of the wallet's rows")
            st.code(wallet.rows_digest, language=None)


def _looked_back(traced: TracedDay) -> None:
    if not traced.looked_back:
        return
    with st.expander(f"Looked back on: {traced.looked_back_words}", icon=":material/history:"):
        days = (f"{day} {revision or 'not there'}" for day, revision in traced.looked_back.items())
        st.code("\n".join(days), language=None)


def _runs(runs: Mapping[str, LoggedRun | None], address: str) -> None:
    with st.expander("Runs that published it", icon=":material/play_circle:"):
        for name, run in runs.items():
            if run is None:
                st.warning(f"{name}: not in the publication log")
                continue
            again = f", confirmed {run.confirmed_again} times since" if run.confirmed_again else ""
            st.markdown(
                f"**{name}** at {run.at}{again}: [run in Dagster]({address}{run.run_page}), "
                f"[partition in Dagster]({address}{run.partition_page})"
            )
            st.code(f"run {run.run_id}\nlog entry {run.log_entry}", language=None)


def _since(since: Since) -> None:
    told = since_words(since)
    label = "Since: something changed" if told else "Since: nothing changed, it follows from what is current"
    with st.expander(label, expanded=bool(told), icon=":material/update:"):
        for line in told or ["Raw days, window, models and settings are those it was made from."]:
            st.text(line)
