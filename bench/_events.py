"""The reference log of the benches: 50 million events of 2 million users, 90 days.

`events`, `taps` and `orders` give paths of Parquet (zstd), generated once for each
scale into a cache folder ($GROWTH_BENCH_DATA, else under the system's temporary
folder) a day at a time, the same on every machine. Run as a script it generates
them: `python bench/_events.py --scale 1`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path

ROWS = 50_000_000
USERS = 2_000_000
DAYS = 90
# 2026-01-01 00:00 in Shanghai
START = datetime(2025, 12, 31, 16, tzinfo=UTC)
# the share of each event; the four in the middle are a funnel
SHARES = {
    "page_view": 0.30,
    "tap": 0.25,
    "view_item": 0.20,
    "add_to_cart": 0.10,
    "begin_checkout": 0.06,
    "pay": 0.04,
    "share": 0.05,
}
EVENTS = tuple(SHARES)
FUNNEL = ("view_item", "add_to_cart", "begin_checkout", "pay")
PAGES = 50
SCENES = (1001, 1007, 1008, 1011, 1035, 1037, 1038, 1043, 1089, 1101)
WIDTHS = (360, 375, 390, 393, 412, 414, 430)
SESSIONS = 1.12  # sessions drawn, a share of the events; 1.63 events a user-day
SKEW = 1.5  # the share of users below quantile q of activity is q ** (1 / SKEW)
VERSION = 1
GROUP = 1 << 17


def folder(scale=1.0):
    """Return where a scale's files are kept."""
    above = os.environ.get("GROWTH_BENCH_DATA")
    above = Path(above) if above else Path(tempfile.gettempdir()) / "growth-bench"
    return above / f"v{VERSION}-{scale:g}"


def events(scale=1.0):
    """Return a glob of Parquet files, a day each, in order of time.

    Columns: user_idx (int32, dense), user_id (28 characters), ts (ms, UTC), event,
    scene (int16), page_path; of a tap also x_px, y_px, client_y_px, win_w_px,
    win_h_px, page_h_px (float32); of a payment order_id and value_fen (int64).
    """
    return f"{_made(scale)}/events/*.parquet"


def taps(scale=1.0):
    """Return a glob of the taps alone, with the columns of `events`."""
    return f"{_made(scale)}/taps/*.parquet"


def orders(scale=1.0):
    """Return a glob of the orders: order_id, user_id, user_idx, pay_ts, paid_fen.

    2 million of 1.2 million buyers; the payments of `events`, with refund_fen.
    """
    return f"{_made(scale)}/orders/*.parquet"


def users(scale):
    """Return how many users a scale has."""
    return max(int(USERS * scale), 50)


def _made(scale):
    """Generate what is not there yet, aside and then renamed."""
    place = folder(scale)
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=place.parent))
    try:
        _generate(aside, scale)
        aside.rename(place)
    except OSError:
        if not place.exists():  # else another process was first
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return place


def _generate(place, scale):
    import numpy as np
    import pyarrow as pa

    n = users(scale)
    ids = pa.array("o" + md5(b"%d" % i).hexdigest()[:27] for i in range(n))
    # who is active has nothing to do with the number
    numbers = np.random.default_rng([VERSION, 0]).permutation(n).astype(np.int32)
    for name in ("events", "taps", "orders"):
        (place / name).mkdir()
    first = 0
    for day in range(DAYS):
        rng = np.random.default_rng([VERSION, 1, day])
        weekday = (START.weekday() + 1 + day) % 7
        weight = (0.95, 0.95, 0.95, 0.95, 1.0, 1.1, 1.1)[weekday]
        rows = _day(rng, day, int(ROWS * scale / DAYS * weight), ids, numbers, first)
        first += _written(place, day, rows)


def _day(rng, day, n, ids, numbers, first):
    """Return one day's events, in order of time."""
    import numpy as np
    import pyarrow as pa

    sessions = max(int(n * SESSIONS), 1)
    who = numbers[(len(numbers) * rng.random(sessions) ** SKEW).astype(np.int64)]
    begin = rng.beta(2.2, 1.6, sessions) * 86_400_000
    of = rng.integers(0, sessions, n)
    ms = np.minimum(begin[of] + rng.exponential(180_000, n), 86_399_999)
    ms = ms.astype(np.int64)
    order = np.argsort(ms, kind="stable")
    of, ms = of[order], ms[order]
    user = who[of]
    start = int(START.timestamp() * 1000) + day * 86_400_000
    kinds = rng.choice(len(EVENTS), n, p=list(SHARES.values())).astype(np.int8)
    pages = np.minimum(rng.geometric(0.08, n) - 1, PAGES - 1).astype(np.int8)
    tapped, paid = kinds == EVENTS.index("tap"), kinds == EVENTS.index("pay")
    width = np.array(WIDTHS, np.float32)[rng.integers(0, len(WIDTHS), n)]
    height = np.rint(width * rng.choice([1.78, 2.05, 2.17], n)).astype(np.float32)
    tall = np.rint(height * (1 + pages % 7 / 2)).astype(np.float32)
    x = (np.rint(rng.random(n) * width * 4) / 4).astype(np.float32)
    y = (np.rint(rng.beta(1.1, 2.4, n) * tall * 4) / 4).astype(np.float32)
    seen = (np.rint(rng.random(n) * np.minimum(height, y) * 4) / 4).astype(np.float32)

    def only(values, where):
        return pa.array(values, mask=~where)

    numbered = np.cumsum(paid) + first
    orders_of = [f"n{i:09d}" for i in numbered[paid]]
    order_id = np.full(n, None, object)
    order_id[paid] = orders_of
    paths = pa.array([f"pages/p{i:02d}/index" for i in range(PAGES)])
    return pa.table(
        {
            "user_idx": pa.array(user, pa.int32()),
            "user_id": ids.take(pa.array(user)),
            "ts": pa.array(ms + start).cast(pa.timestamp("ms", "UTC")),
            "event": pa.DictionaryArray.from_arrays(kinds, pa.array(EVENTS)),
            "scene": pa.array(
                np.array(SCENES, np.int16)[
                    rng.integers(0, len(SCENES), sessions)[of].astype(np.int64)
                ]
            ),
            "page_path": pa.DictionaryArray.from_arrays(pages, paths),
            "x_px": only(x, tapped),
            "y_px": only(y, tapped),
            "client_y_px": only(seen, tapped),
            "win_w_px": only(width, tapped),
            "win_h_px": only(height, tapped),
            "page_h_px": only(tall, tapped),
            "order_id": pa.array(order_id, pa.string()),
            "value_fen": only(
                np.rint(np.exp(rng.normal(8.3, 0.9, n))).astype(np.int64), paid
            ),
        }
    )


def _written(place, day, rows):
    """Write a day's three files; return how many orders there are."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    def write(name, table):
        path = place / name / f"day-{day:02d}.parquet"
        pq.write_table(table, path, compression="zstd", row_group_size=GROUP)

    write("events", rows)
    write("taps", rows.filter(pc.equal(rows["event"], "tap")))
    paid = rows.filter(pc.equal(rows["event"], "pay"))
    fen = paid["value_fen"].to_numpy()
    write(
        "orders",
        pa.table(
            {
                "order_id": paid["order_id"],
                "user_id": paid["user_id"],
                "user_idx": paid["user_idx"],
                "pay_ts": paid["ts"],
                "paid_fen": paid["value_fen"],
                "refund_fen": pa.array((fen % 16 == 0) * fen),
            }
        ),
    )
    return paid.num_rows


def main():
    parser = argparse.ArgumentParser(description="Generate the reference log.")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the size")
    scale = parser.parse_args().scale
    start = time.perf_counter()
    for name in (events, taps, orders):
        print(name(scale))
    size = sum(item.stat().st_size for item in folder(scale).rglob("*.parquet"))
    print(f"{size / 2**20:.0f} MiB in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
