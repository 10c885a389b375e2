"""Kernels over users: one result, however the rows are cut, batched or ordered."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from growth.engine import KeyPart, key_shifts, map_by_user

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 30
KEY = [
    KeyPart("ts", "ts", START, START + timedelta(days=DAYS), step=1000),
    KeyPart("code", "code", 0, 3),
]
TS, CODE, USER = key_shifts(KEY)


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


def naive(rows):
    """Say the same in plain Python."""
    by_user = {}
    for row in rows.to_pylist():
        by_user.setdefault(row["user_id"], []).append((row["ts"], row["code"]))
    pairs = np.zeros((4, 4), np.int64)
    whole = {}
    for user, seen in by_user.items():
        seen.sort()
        for (_, one), (_, two) in itertools.pairwise(seen):
            pairs[one, two] += 1
        ms = (seen[-1][0] - seen[0][0]) // timedelta(milliseconds=1)
        whole[user] = (ms, len(seen))
    return pairs, whole


def run(rows, kernel=steps, **kwargs):
    kwargs = {"params": (USER, 2), **kwargs}
    return map_by_user(rows, key=KEY, kernel=kernel, **kwargs)


@pytest.mark.parametrize("user_col", ["user_idx", "user_id"])
@pytest.mark.parametrize("shards", [1, 7, 64, None])
def test_shards_do_not_show(user_col, shards):
    rows = log()
    pairs, whole = naive(rows)
    found = run(rows, user_col=user_col, shards=shards)
    assert found.values[0].tolist() == [97, 3000]
    assert found.values[1].tolist() == pairs.tolist()
    assert (found.rows, found.left_out, found.users) == (3000, {}, None)
    each = run(rows, spans, user_col=user_col, shards=shards, out="rows")
    names = {
        f"user {u}" if user_col == "user_idx" else u: u for u in each.users.to_pylist()
    }
    assert list(names.values()) == sorted(names.values())
    assert (
        dict(
            zip(
                names,
                zip(*map(np.ndarray.tolist, each.values), strict=True),
                strict=True,
            )
        )
        == whole
    )
