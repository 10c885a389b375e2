"""Small logs of taps for tests."""

import numpy as np
import pyarrow as pa

NOON_MS = 1_773_100_800_000  # 2026-03-10 00:00 UTC


def codes(result):
    return [notice.code for notice in result.notices]


def log(*rows, **columns):
    """Return events; a row is a mapping, what it lacks comes from `columns`."""
    base = {"user_id": "u", "ts": 0, "event": "tap", "page_path": "p"}
    base |= {"win_w_px": 375.0, "win_h_px": 667.0, "page_h_px": 4000.0, **columns}
    names = dict.fromkeys([*base, *(name for row in rows for name in row)])
    made = {name: [{**base, **row}.get(name) for row in rows] for name in names}
    made["ts"] = pa.array([NOON_MS + t for t in made["ts"]], pa.timestamp("ms", "UTC"))
    for name, values in made.items():
        if name.endswith("_px"):
            made[name] = pa.array(values, pa.float32())
    return pa.table(made)


def tap(x, y, ts=0, **more):
    return {"x_px": x, "y_px": y, "ts": ts, **more}


def many(seed, n=400, users=40, pages=3):
    """Return taps with twins, echoes, other devices and points outside."""
    rng = np.random.default_rng(seed)
    width = rng.choice([360.0, 375.0, 393.0, 412.0, 768.0, 1024.0], n)
    rows = {
        "user_id": [f"u{i}" for i in rng.integers(0, users, n)],
        "ts": rng.integers(0, 5_000_000, n) + NOON_MS,
        "page_path": [f"p{i}" for i in rng.integers(0, pages, n)],
        "x_px": rng.uniform(-0.05, 1.05, n) * width,
        "y_px": rng.uniform(-0.02, 1.02, n) * 3000,
        "win_w_px": width,
        "win_h_px": np.full(n, 700.0),
        "page_h_px": np.full(n, 3000.0),
    }
    again = rng.integers(0, n, n // 4)
    late = rng.choice([0, 20, 99, 100, 5000], len(again))
    every = {}
    for name, values in rows.items():
        column = np.asarray(
            values, dtype=object if name.endswith(("id", "th")) else None
        )
        extra = column[again] + late if name == "ts" else column[again]
        every[name] = np.concatenate([column, extra]).tolist()
    every["x_px"][0] = None
    kinds = {name: pa.float32() for name in rows if name.endswith("_px")}
    kinds["ts"] = pa.timestamp("ms", "UTC")
    return pa.table({k: pa.array(v, kinds.get(k)) for k, v in every.items()})
