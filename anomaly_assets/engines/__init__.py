"""Where pure work on shards of a day is done: each module an ``Engine`` (``domain/engine.py``)."""
