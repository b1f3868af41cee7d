"""Which model is meant, whichever family it is of."""

from dataclasses import dataclass

EVERYBODY = "all"
"""Scope of a model that is one for all."""


@dataclass(frozen=True, order=True)
class ModelReference:
    """A model, as rooms name it to each other. What is stored (keys of Redis, columns of tables) stays as it is.

    Parameters
    ----------
    family : name of its family
    scope : whom it judges: a wallet, a company, or ``EVERYBODY``
    model_id : hex digest of the model
    """

    family: str
    scope: str
    model_id: str
