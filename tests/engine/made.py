"""A log of events and kernels over it, for the tests of sharding and its parts."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from growth.engine import KeyPart, fold_by_user, key_shifts, map_by_user

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 30
KEY = [
    KeyPart("ts", "ts", START, START + timedelta(days=DAYS), step=1000),
    KeyPart("code", "code", 0, 3),
]
USER = key_shifts(KEY)[-1]


def steps(keys, user_shift, code_bits):
    """Count users, rows, and how often each code follows each, in order of time."""
    users = keys >> user_shift
    codes = keys & ((1 << code_bits) - 1)
    same = users[1:] == users[:-1]
    pairs = np.zeros((4, 4), np.int64)
    np.add.at(pairs, (codes[:-1][same], codes[1:][same]), 1)
    size = np.array([np.unique(users).size, keys.size])
    return size, pairs


def spans(keys, user_shift, code_bits):
    """Return per user the milliseconds from first to last, and the rows."""
    users, firsts = np.unique(keys >> user_shift, return_index=True)
    ends = np.append(firsts[1:], keys.size)
    at = (keys & ((1 << user_shift) - 1)) >> code_bits
    return users, at[ends - 1] - at[firsts] if users.size else users, ends - firsts


def log(n=3000, users=97, seed=1):
    rng = np.random.default_rng(seed)
    who = rng.integers(0, users, n)
    ms = rng.integers(0, DAYS * 86_400, n) * 1000
    at = pa.array((ms + int(START.timestamp() * 1000)).astype("M8[ms]"))
    return pa.table(
        {
            "user_idx": pa.array(who, pa.int32()),
            "user_id": [f"user {u}" for u in who],
            "ts": at.cast(pa.timestamp("ms", "UTC")),
            "code": pa.array(rng.integers(0, 4, n), pa.int8()),
            "fen": rng.integers(0, 500, n),
            "share": rng.random(n),
        }
    )


def run(rows, kernel=steps, **kwargs):
    kwargs = {"params": (USER, 2), **kwargs}
    return map_by_user(rows, key=KEY, kernel=kernel, **kwargs)


def mark(users, days, bits, first):
    np.bitwise_or.at(
        bits[:, 0], users, np.int64(1) << ((days - first) // 86_400_000_000)
    )


def active(bits):
    days = np.bitwise_count(bits[:, 0])
    return (np.bincount(days[days > 0], minlength=DAYS + 1),)


def fold(rows, finish=active, **kwargs):
    return fold_by_user(
        rows,
        columns={"ts": "ts"},
        state={"bits": ("int64", 1)},
        kernel=mark,
        finish=finish,
        params=(int(START.timestamp() * 1_000_000),),
        **kwargs,
    )
