"""A whole day of an invented world, put together from its parts."""

from datetime import date

from anomaly_assets.domain.synthetic.anomalies import planted_rows
from anomaly_assets.domain.synthetic.dirt import with_dirt
from anomaly_assets.domain.synthetic.rows import DayRows, joined
from anomaly_assets.domain.synthetic.transactions import ordinary_rows
from anomaly_assets.domain.synthetic.wallets import Wallets
from anomaly_assets.domain.synthetic.world import World


def rows_of_day(world: World, wallets: Wallets, day: date) -> DayRows:
    """All rows of ``day``, planted and dirty ones included, in order of arrival.

    ``wallets`` is ``wallets_of(world)``, made once for many days; ``day`` is not before the world's first.
    """
    ordinary = ordinary_rows(world, wallets, day)
    rows = joined([ordinary, planted_rows(world, wallets, day, first_number=len(ordinary))])
    if world.dirt > 0:
        rows = with_dirt(world, day, rows)
    return rows.in_order_of_arrival()
