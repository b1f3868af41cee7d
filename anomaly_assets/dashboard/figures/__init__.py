"""Figures of Plotly, from tables of ``anomaly_assets.views``: pure functions, drawn by the screens."""
