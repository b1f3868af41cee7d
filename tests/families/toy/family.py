"""What everyone needs to know of the family; found by the entry point that its package declares."""

from anomaly_assets.domain.families import DailyAsset, Family

MODEL, JUDGEMENTS = "toy_model", "toy_judgements"
TOY = Family(
    "toy",
    (
        DailyAsset(MODEL),
        DailyAsset(JUDGEMENTS, (MODEL,), after=MODEL, names_wallets=True),
    ),
    definitions="families.toy.definitions:definitions",
    restored="families.toy.restored:toy_days",
    case="families.toy.case:CASE",
    screens="families.toy.screens:SCREENS",
    job="judge_by_toy",
    settings_id="families.toy.settings:settings_id",
)
