"""Kernels over users: one result, however the rows are cut, batched or ordered."""

import itertools
from datetime import datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pytest

from growth.engine import KeyPart, fold_by_user, map_by_user, sharded
from growth.errors import ColumnNotFoundError, ParameterError
from tests.engine.made import (
    DAYS,
    KEY,
    START,
    USER,
    active,
    fold,
    log,
    mark,
    run,
    spans,
    steps,
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
    users = each.users.to_pylist()
    assert users == sorted(users)
    names = users if user_col == "user_id" else [f"user {user}" for user in users]
    values = zip(*(column.tolist() for column in each.values), strict=True)
    assert dict(zip(names, values, strict=True)) == whole
    loose = run(rows, spans, user_col=user_col, shards=shards, out="loose")
    assert loose.users is None
    values = zip(*(column.tolist() for column in loose.values), strict=True)
    assert sorted(values) == sorted(whole.values())


@pytest.mark.parametrize("batch_rows", [1, 700, 10**6])
def test_batches_and_order_do_not_show(batch_rows, monkeypatch):
    monkeypatch.setattr(sharded, "BATCH", 500)
    rows = log(1500)
    mixed = rows.take(pa.array(np.random.default_rng(2).permutation(1500)))
    for user_col in ("user_idx", "user_id"):
        one, two = (
            run(r, spans, user_col=user_col, out="rows", batch_rows=b)
            for r, b in ((rows, 1 << 18), (mixed, batch_rows))
        )
        assert one.users.equals(two.users)
        for left, right in zip(one.values, two.values, strict=True):
            assert left.tolist() == right.tolist()


def test_no_rows_are_an_answer_too():
    rows = log(5).slice(0, 0)
    found = run(rows)
    assert [item.tolist() for item in found.values] == [[0, 0], [[0] * 4] * 4]
    assert (found.rows, found.parts) == (0, 1)
    each = run(rows, spans, out="rows", user_col="user_id")
    assert each.users.type == pa.string()
    assert [column.size for column in each.values] == [0, 0]


def test_one_user_may_have_all_rows():
    rows = log(2000, users=1)
    for user_col in ("user_idx", "user_id"):
        found = run(rows, user_col=user_col, shards=7)
        assert found.values[0].tolist() == [1, 2000]
        assert found.values[1].tolist() == naive(rows)[0].tolist()


def test_payload_follows_its_row_and_breaks_ties():
    def worth(keys, fen, share, shift):
        users = keys >> shift
        before = np.zeros(1, np.int64) if fen.size == 0 else np.diff(fen, prepend=0)
        return users, fen, share, np.resize(before, fen.size)

    rows = log(800, users=9)
    tied = rows.set_column(3, "code", pa.array(np.zeros(800, np.int8)))
    tied = pa.concat_tables([tied, tied.set_column(4, "fen", pa.array([7] * 800))])
    mixed = tied.take(pa.array(np.random.default_rng(3).permutation(1600)))
    payload = {"fen": ibis._.fen + 1, "share": "share"}
    one, two = (
        map_by_user(
            r, key=KEY, kernel=worth, params=(USER,), payload=payload, out="rows"
        )
        for r in (tied, mixed)
    )
    assert one.users.equals(two.users)
    for left, right in zip(one.values, two.values, strict=True):
        assert left.tolist() == right.tolist()
    by_share = dict(
        zip(tied["share"].to_pylist(), tied["user_id"].to_pylist(), strict=True)
    )
    shares = one.values[1].tolist()
    assert [by_share[share] for share in shares] == one.users.to_pylist()
    assert one.values[0].sum() == sum(tied["fen"].to_pylist()) + 1600


def test_arrays_of_different_shapes_are_not_added():
    with pytest.raises(ParameterError, match=r"shapes \(\d+,\) and \(\d+,\)") as info:
        run(log(), lambda keys, _shift, _bits: (keys,))
    assert info.value.code == "kernel_shapes"


def each(bits):
    users = np.flatnonzero(bits[:, 0])
    return users, bits[users, 0]


@pytest.mark.parametrize("user_col", ["user_idx", "user_id", "big", "negative"])
def test_bitmaps_are_folded_without_order(user_col):
    rows = log()
    numbers = rows["user_idx"].to_numpy().astype(np.int64)
    rows = rows.append_column("big", pa.array(10**15 + numbers))
    rows = rows.append_column("negative", pa.array(-5 - numbers))
    days = {}
    for row in rows.to_pylist():
        days.setdefault(row[user_col], set()).add((row["ts"] - START).days)
    wanted = np.bincount([len(seen) for seen in days.values()], minlength=DAYS + 1)
    assert fold(rows, user_col=user_col).values[0].tolist() == wanted.tolist()
    found = fold(rows, each, user_col=user_col, out="rows", threads=3)
    bits = dict(zip(found.users.to_pylist(), found.values[0].tolist(), strict=True))
    assert bits == {u: sum(1 << day for day in seen) for u, seen in days.items()}
    assert fold(rows.slice(0, 0), user_col=user_col).values[0].sum() == 0
    key = run(rows, spans, user_col=user_col, out="rows")
    assert key.users.to_pylist() == sorted(days)


def wide(bits):
    return [KeyPart("code", "code", 0, 3), KeyPart("when", ibis._.fen, 0, 2**bits - 1)]


def test_users_are_rebased_when_bits_run_short():
    rows = log(500)
    key = wide(60)  # 1 bit is left: 2 users a part, 97 users
    seen = map_by_user(
        rows, key=key, kernel=spans, params=(62, 62), out="rows", user_col="user_idx"
    )
    assert seen.users.to_pylist() == sorted(set(rows["user_idx"].to_pylist()))
    assert seen.parts == 49
    texts = map_by_user(rows, key=key, kernel=spans, params=(62, 62), out="rows")
    assert texts.parts == -(-len(set(texts.users.to_pylist())) // 2) > 32
    assert texts.users.to_pylist() == sorted(set(rows["user_id"].to_pylist()))


@pytest.mark.parametrize("bits", [61, 70])
def test_a_key_too_wide_names_the_field(bits):
    with pytest.raises(
        ParameterError, match=rf"when {bits} bits .* narrow 'when'"
    ) as e:
        map_by_user(log(9), key=wide(bits), kernel=spans, params=(60, 60))
    assert e.value.code == "key_too_wide"


def test_a_key_too_wide_for_its_users_names_the_field(monkeypatch):
    monkeypatch.setattr(sharded, "MOST_SHARDS", 40)
    for user_col in ("user_idx", "user_id"):
        with pytest.raises(ParameterError, match="narrow 'when'") as info:
            map_by_user(
                log(), key=wide(60), kernel=spans, params=(62, 62), user_col=user_col
            )
        assert info.value.code == "key_too_wide"


@pytest.mark.parametrize(
    ("kwargs", "code"),
    [
        ({"out": "both"}, "bad_out"),
        ({"shards": 0}, "bad_shards"),
        ({"key": [KEY[1]._replace(high=-1)]}, "bad_key"),
        ({"key": [KEY[1]._replace(step=0)]}, "bad_key"),
        ({"key": [KEY[0]._replace(low=datetime(2026, 1, 1))]}, "bad_key"),
        ({"key": []}, "nothing_asked"),
    ],
)
def test_misuse_is_told(kwargs, code):
    kwargs = {"key": KEY, "kernel": steps, "params": (USER, 2), **kwargs}
    with pytest.raises(ParameterError, match=r"must|there must") as info:
        map_by_user(log(5), **kwargs)
    assert info.value.code == code


def test_missing_columns_and_an_empty_state_are_told():
    with pytest.raises(ColumnNotFoundError, match="'who' not found"):
        run(log(5), user_col="who")
    with pytest.raises(ColumnNotFoundError, match="'codes' not found"):
        map_by_user(log(5), key=[KEY[1]._replace(value="codes")], kernel=steps)
    with pytest.raises(ParameterError, match="state is empty"):
        fold_by_user(log(5), columns={}, state={}, kernel=mark, finish=active)
