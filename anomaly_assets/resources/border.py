"""The border's rules as a Dagster resource."""

import dagster as dg

from anomaly_assets.domain.border import BorderRules


class BorderResource(dg.ConfigurableResource):
    """What the border refuses."""

    max_id_bytes: int
    max_amount: float
    allow_negative: bool
    time_zone: str
    ambiguous_times: str

    @classmethod
    def from_rules(cls, rules: BorderRules) -> "BorderResource":
        """The deployment's rules."""
        return cls(**{name: getattr(rules, name) for name in cls.model_fields})

    def rules(self) -> BorderRules:
        """The rules as the core takes them."""
        return BorderRules(**{name: getattr(self, name) for name in type(self).model_fields})
