"""The screens, in the order in which they are offered; the name is what stands in the address."""

from types import ModuleType

from anomaly_assets.dashboard.screens import flag, operations, organisations, overview, wallet

SCREENS: dict[str, ModuleType] = {
    "overview": overview,
    "wallet": wallet,
    "flag": flag,
    "organisations": organisations,
    "operations": operations,
}
