"""The screens, in the order in which they are offered; the name is what stands in the address."""

from types import ModuleType

from anomaly_assets.dashboard.screens import (
    comparison,
    distributions,
    flag,
    operations,
    organisations,
    overview,
    timeline,
    wallet,
)

SCREENS: dict[str, ModuleType] = {
    "overview": overview,
    "comparison": comparison,
    "distributions": distributions,
    "timeline": timeline,
    "wallet": wallet,
    "flag": flag,
    "organisations": organisations,
    "operations": operations,
}
