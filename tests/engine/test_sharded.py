"""Kernels over users: one result, however the rows are cut, batched or ordered."""

import itertools
from datetime import UTC, date, datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from growth import engine
from growth.engine import (
    KeyPart,
    fold_by_user,
    kernels,
    key_shifts,
    map_by_user,
    sharded,
)
from growth.errors import ColumnNotFoundError, DataError, ParameterError

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


def mark(users, days, bits, first):
    np.bitwise_or.at(
        bits[:, 0], users, np.int64(1) << ((days - first) // 86_400_000_000)
    )


def active(bits):
    days = np.bitwise_count(bits[:, 0])
    return (np.bincount(days[days > 0], minlength=DAYS + 1),)


def each(bits):
    users = np.flatnonzero(bits[:, 0])
    return users, bits[users, 0]


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


def test_what_is_null_is_left_out_and_counted():
    rows = log(1000)
    gaps = {"user_id": {3, 4}, "ts": {4, 5, 6}, "code": {7}}
    for name, holes in gaps.items():
        column = pa.array(
            [None if i in holes else v for i, v in enumerate(rows[name].to_pylist())],
            rows[name].type,
        )
        rows = rows.set_column(rows.column_names.index(name), name, column)
    found = run(rows)
    assert (found.rows, found.values[0].tolist()[1]) == (1000, 995)
    assert found.left_out == {"user_id": 2, "ts": 3}
    marked = fold(rows)
    assert marked.left_out == {"user_id": 2, "ts": 3}


@pytest.mark.parametrize("column", ["user_id", "ts"])
def test_more_than_one_in_a_hundred_null_is_refused(column):
    rows = log(1000)
    values = rows[column].to_pylist()
    values[:11] = [None] * 11
    at = rows.column_names.index(column)
    rows = rows.set_column(at, column, pa.array(values, rows[column].type))
    with pytest.raises(DataError, match=f"{column!r} is NULL in 11 of 1000") as info:
        run(rows)
    assert info.value.code == "null_key"
    with pytest.raises(DataError, match="at most 1 % may be left out"):
        fold(rows)


def test_a_payload_must_be_there():
    rows = log(10).append_column("x", pa.array([None, *range(9)], pa.int64()))
    with pytest.raises(DataError, match="'x' is NULL in 1 rows") as info:
        run(
            rows,
            lambda keys, x, _shift, _bits: (keys.sum() + x.sum(),),
            payload={"x": "x"},
        )
    assert info.value.code == "null_value"


@pytest.mark.parametrize("kind", [pa.string(), pa.float64()])
def test_times_are_never_guessed(kind):
    rows = log(10)
    when = rows["ts"].cast(pa.int64()).cast(kind)
    rows = rows.set_column(2, "ts", when)
    with pytest.raises(DataError, match="must be an instant or a whole") as info:
        run(rows)
    assert info.value.code == "column_type"
    if kind == pa.string():
        with pytest.raises(DataError, match="'ts' is of type string"):
            fold(rows)


def test_a_row_outside_the_bounds_is_an_error_not_another_users_row():
    late = [KEY[0]._replace(high=START + timedelta(days=20)), KEY[1]]
    with pytest.raises(
        ParameterError, match=r"'ts' has values .* filter the table"
    ) as e:
        map_by_user(log(), key=late, kernel=steps, params=(USER, 2))
    assert e.value.code == "key_range"
    few = [KEY[0], KEY[1]._replace(high=2)]
    with pytest.raises(ParameterError, match=r"'code' has values 0\.\.3"):
        map_by_user(log(), key=few, kernel=steps, params=(USER, 2))


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


def test_dates_and_booleans_are_packed():
    days = [date(2026, 1, 2), date(2025, 12, 31), date(2026, 1, 1)]
    rows = pa.table({"user_id": ["a"] * 3, "d": days, "ok": [True, False, True]})
    low = (date(2025, 12, 31) - date(1970, 1, 1)).days * 86_400_000_000
    key = [
        KeyPart("d", "d", low, low + 3 * 86_400_000_000, step=86_400_000_000),
        KeyPart("ok", "ok", 0, 1),
    ]
    (keys,) = map_by_user(rows, key=key, kernel=lambda keys: (keys,)).values
    assert keys.tolist() == [0, 3, 5]


def last(keys, fen, shift, _bits):
    return paid(keys, fen, shift)


def paid(keys, fen, shift):
    """Return each user's last payment but one, and their rows."""
    users, firsts = np.unique(keys >> shift, return_index=True)
    ends = np.append(firsts[1:], keys.size)[: users.size]
    return users, fen[np.maximum(ends - 2, firsts)], ends - firsts


@pytest.mark.parametrize("users", [1, 5000])
def test_beyond_a_quarter_of_the_memory_keys_go_to_disk_and_are_removed(
    users, tmp_path, monkeypatch
):
    # 16 bytes a row are more than 40 MB / 4, in 32 parts or (one user) in one
    n = 700_000
    rng = np.random.default_rng(5)
    who, day, fen = (rng.integers(0, high, n) for high in (users, DAYS, 900))
    rows = pa.table({"user_idx": who, "day": day, "fen": fen})
    (tmp_path / "data").mkdir()
    pq.write_table(rows, tmp_path / "data" / "rows.parquet")
    spill = tmp_path / "spill"
    folders = []
    made = sharded._Parts._spill

    def spied(self):
        made(self)
        folders.append(list(spill.glob("growth-keys-*/*.1")))

    monkeypatch.setattr(sharded._Parts, "_spill", spied)
    key = [KeyPart("day", "day", 0, DAYS - 1)]

    def ask(table):
        return map_by_user(
            table,
            key=key,
            kernel=paid,
            params=key_shifts(key)[-1:],
            payload={"fen": "fen"},
            out="rows",
            user_col="user_idx",
        )

    small = engine.connect(
        tmp_path / "data", threads=1, memory_limit="40MB", temp_dir=spill
    )
    found = ask(engine.as_table(tmp_path / "data", connection=small))
    assert [len(files) for files in folders] == [min(users, 32)] * 2
    assert list(spill.iterdir()) == []
    wanted = ask(rows)
    assert len(folders) == 2
    assert found.users.equals(wanted.users)
    for left, right in zip(found.values, wanted.values, strict=True):
        assert left.tolist() == right.tolist()


def test_a_part_larger_than_the_budget_is_worked_off_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "_budget", lambda _plan: 4000)
    monkeypatch.setattr(sharded.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(sharded, "_setting", lambda *_: None)
    rows = log(3000)
    found = run(rows, last, out="rows", shards=2, payload={"fen": "fen"})
    assert found.parts > 10
    monkeypatch.undo()
    wanted = run(rows, last, out="rows", payload={"fen": "fen"})
    assert wanted.parts == 32
    assert found.users.equals(wanted.users)
    assert found.values[0].tolist() == wanted.values[0].tolist()
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_goes_even_when_the_kernel_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "_budget", lambda _plan: 100)
    monkeypatch.setattr(sharded.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(sharded, "_setting", lambda *_: None)

    def fails(*_arrays):
        assert len(list(tmp_path.glob("*/*"))) > 0
        raise ZeroDivisionError("our own defect")

    with pytest.raises(ZeroDivisionError, match="our own defect"):
        run(log(50), kernel=fails)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bits", [1, 8, 9, 40, 63])
def test_digits_sort_as_numpy_does(bits):
    rng = np.random.default_rng(bits)
    keys = rng.integers(0, 2**bits, 3000, dtype=np.int64, endpoint=False)
    for radix in (kernels.radix, kernels.radix.py_func):
        given, spare = keys[:300].copy(), np.empty(300, np.int64)
        rows, other = np.arange(300), np.empty(300, np.int64)
        if radix(given, spare, rows, other, 0, bits, keep_rows=True):
            given, rows = spare, other
        assert given.tolist() == sorted(keys[:300].tolist())
        assert rows.tolist() == np.argsort(keys[:300], kind="stable").tolist()


@pytest.mark.parametrize("least", [0, 5, 20, 40])
def test_only_the_digits_asked_for_are_sorted_by(least):
    keys = np.random.default_rng(least).integers(0, 2**40, 300)
    for radix in (kernels.radix, kernels.radix.py_func):
        given, spare = keys.copy(), np.empty(300, np.int64)
        rows, other = np.arange(300), np.empty(300, np.int64)
        if radix(given, spare, rows, other, least, 40, keep_rows=True):
            rows = other
        assert rows.tolist() == np.argsort(keys >> least, kind="stable").tolist()


def test_keys_that_hardly_need_it_are_sorted_in_place():
    keys = np.array([3, 1, 2, 9, 8])
    for falls, settle in (
        (kernels.falls, kernels.settle),
        (kernels.falls.py_func, kernels.settle.py_func),
    ):
        assert falls(keys, 4) == 2
        assert falls(keys, 1) == 2  # of 1 1 0 1 0
        given = keys.copy()
        assert settle(given, 3)
        assert given.tolist() == [1, 2, 3, 8, 9]
        assert not settle(keys.copy(), 2)


def test_many_rows_are_sorted_by_their_digits(monkeypatch):
    rows = log(3000)
    wanted = run(rows, spans, out="rows")
    monkeypatch.setattr(sharded, "FEW", 1)
    found = run(rows, spans, out="rows")
    for left, right in zip(found.values, wanted.values, strict=True):
        assert left.tolist() == right.tolist()


def test_the_engines_kernels_are_plain_python_too():
    users = np.array([5, 0, 12, 5, 7], np.int64)
    keep = np.array([True, True, True, False, True])
    at = np.array([2_500, -1_000, 4_999, 10**9, 0], np.int64)
    for kind in ("jit", "py_func"):
        pack, scatter = (
            k if kind == "jit" else k.py_func for k in (kernels.pack, kernels.scatter)
        )
        for parts in (1, 4, 3):
            low = np.zeros(5, np.int64)
            assert pack(at, keep, -1_000, 1_000, 2, low) == (-1_000, 4_999)
            assert (low[keep] >> 2).tolist() == [3, 0, 5, 1]
            keys, order = np.empty(5, np.int64), np.empty(5, np.int64)
            starts = scatter(users, low, keep, parts, 8, keys, order, keep_rows=True)
            seen = {}
            for part in range(parts):
                for j in range(starts[part], starts[part + 1]):
                    user = (keys[j] >> 8) * parts + part
                    assert keys[j] & 255 == low[order[j]]
                    seen.setdefault(int(user), []).append(int(order[j]))
            assert seen == {5: [0], 0: [1], 12: [2], 7: [4]}
