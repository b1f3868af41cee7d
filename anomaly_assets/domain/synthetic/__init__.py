"""The law of an invented world of wallets, in which it is known what is anomalous.

A :class:`~anomaly_assets.domain.synthetic.world.World` is six numbers. From them alone every day follows, one at a
time and in any order, because every random number is a function of (seed, day, stream, position).

**Arithmetic.** Random integers are Philox outputs; everything after them uses + - * / sqrt, floor and shifts of IEEE
doubles (logarithm, exponential and normal quantile included, see ``arithmetic``). Amounts end as whole cents and times
as whole microseconds. So no code that a CPU family chooses decides the bytes of a day; ``docs/method.md`` says where
that was tried.

**Who** (``wallets``). The wallet of rank r among n makes traffic in proportion to ((r - 1/2)/n + 0.005)^-1.5, a law of
Zipf and Mandelbrot that keeps its shape when n grows: 5 % of the wallets make three quarters of the traffic, and no
wallet dwarfs 100,000 others. Wallet ids say nothing about ranks. A fifth of the wallets are new: they begin after the
first day, after an exponential time of mean 200 days. Two fifths pause, 45 to 75 silent days out of every 100 to 160,
and are the more active in between.

**When** (``activity``, ``hours``). A day's expected traffic of a wallet is its rate, times one of three weekly patterns
(even, business, leisure), times 1 + a s(day), a being its own seasonality between 0 and 1 and s the season between
-0.20 and +0.25. Hours of day follow the wallet's own table of 256 slots: *habitual* hours hold 4 slots or more, one or
two *rare* hours hold one slot each (0.39 %), all the others, at least 8 hours, hold none and are *never* used.

**How much** (``amounts`` in ``wallets``). Amounts are log-normal: median between 3 and 3,000, sigma between 0.2 and
0.9; one wallet in eight is nearly constant (sigma between 0.0005 and 0.02). Amounts do not depend on the hour.

**For whom.** Every wallet deals with two of twelve organisations, 80 % and 18 % of its rows; 2 % name none, and
neither does any row of one wallet in ten.

**Anomalies** (``anomalies``) are planted on *established* wallets: 30 expected transactions or more in the last 180
days. Their sizes are quantiles of the wallet's own law:

===================== ==== ================== =====================================================================
kind                  rows hour               upper tail probability of the amount under the wallet's own law
===================== ==== ================== =====================================================================
amount_burst             3 the busiest        1e-7 to 1e-6, within 50 minutes
rare_hour                1 a rare one         0.25 to 0.75: an ordinary amount
unseen_hour              1 a never used one   0.25 to 0.75; no row of the last 180 days has that hour
amount_at_rare_hour      1 a rare one         1e-5 to 1e-4
dormant_wakeup           1 the busiest        1e-4 to 1e-3; the wallet has been silent for 30 days or more
slow_drift             all as ever            a decoy: over 90 days the median climbs to the wallet's 0.975 quantile
===================== ==== ================== =====================================================================

Each kind gets a sixth of the expected planted rows, as far as there are occasions. The truth lies apart from the
transactions, and ids are scrambled so that they do not betray it. Planting leaves all other rows as they were.

**Dirt** (``dirt``) adds rows (copies, conflicting copies, bad amounts, missing ids) and delays rows by 1 to 3 days.
"""
