"""The evidence of ``trace`` as a tree of what can be opened."""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.evidence.since import since_words


def evidence_tree(traced: Mapping[str, Any], dagster_address: str) -> None:
    """Models, training data, runs, files and what changed since, of one day of a trace."""
    if not traced["scored"]:
        st.json(dict(traced["held_by"]), expanded=True)
        return
    for detector in traced["detectors"]:
        _model(detector)
    _window(traced["training_window"])
    _runs(traced["runs"], dagster_address.rstrip("/"))
    _since(traced["since"])
    with st.expander("Files, with their digests", icon=":material/folder:"):
        for name, file in traced["files"].items():
            state = "" if file.get("is_these_scores", True) else " (not these scores)"
            st.text(f"{readable(name)}: {file['file']}{state}")
            if "sha256" in file:
                st.code(file["sha256"], language=None)
        st.text("revision of the scores")
        st.code(traced["revision"], language=None)
    with st.expander("Settings", icon=":material/tune:"):
        st.json(dict(traced["settings"]))


def _model(detector: Mapping[str, Any]) -> None:
    model, name = detector["model"], readable(detector["detector"])
    if model is None:
        with st.expander(f"Model: {name}, none ({readable(detector['status'])})", icon=":material/model_training:"):
            st.text("No model of this wallet judged the transaction.")
        return
    kept = "" if model["archived"] else " (payload not kept any more: verify fits it again)"
    label = f"Model: {name} `{model['model_id'][:16]}`, fitted on {model['n_transactions']:,} transactions{kept}"
    with st.expander(label, icon=":material/model_training:"):
        st.text("model id")
        st.code(model["model_id"], language=None)
        st.text("recipe id")
        st.code(model["recipe_id"], language=None)
        st.text(f"{model['n_bytes']:,} bytes")
        st.json({"parameters": model["parameters"], "numbers": json.loads(model["summary"])})


def _window(window: Mapping[str, Any]) -> None:
    wallet, missing = window["wallet"], window["days_missing"]
    rows = "no transaction of this wallet" if wallet is None else f"{wallet['n_transactions']:,} of this wallet"
    label = (
        f"Training data: {window['first']} to {window['end']} (excluded), {window['days_pinned']} days pinned, {rows}"
    )
    with st.expander(label, icon=":material/date_range:"):
        if missing:
            st.warning(f"{len(missing)} days are missing: {', '.join(missing)}")
        st.text("manifest of the pinned days")
        st.code(window["manifest_id"], language=None)
        if wallet is not None:
            st.text(f"{wallet['first_at']} to {wallet['last_at']}; digest of the wallet's rows")
            st.code(wallet["rows_digest"], language=None)


def _runs(runs: Mapping[str, Any], address: str) -> None:
    with st.expander("Runs that published it", icon=":material/play_circle:"):
        for name, run in runs.items():
            if run is None:
                st.warning(f"{name}: not in the publication log")
                continue
            again = f", confirmed {run['confirmed_again']} times since" if run["confirmed_again"] else ""
            st.markdown(
                f"**{name}** at {run['at']}{again}: [run in Dagster]({address}{run['run_page']}), "
                f"[partition in Dagster]({address}{run['partition_page']})"
            )
            st.code(f"run {run['run_id']}\nlog entry {run['log_entry']}", language=None)


def _since(since: Mapping[str, Any]) -> None:
    told = since_words(since)
    label = "Since: something changed" if told else "Since: nothing changed, it follows from what is current"
    with st.expander(label, expanded=bool(told), icon=":material/update:"):
        for line in told or ["Raw days, window, models and settings are those it was made from."]:
            st.text(line)
