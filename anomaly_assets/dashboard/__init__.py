"""Pages for reviewers in a browser, over files and Redis alone; Dagster's database is never read.

``app.py`` is the entrance; each page is a file of ``screens/``, draws with ``figures/`` what ``anomaly_assets.views``
computes, and is named in ``screens/__init__.py``.
"""
