"""Asset checks: one property each, partitioned by day; the predicates live in ``domain/predicates.py``."""
