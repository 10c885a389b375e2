import numpy as np
import pyarrow as pa
import pytest

from growth.engine import kernels, user_index, users
from growth.engine.users import Interner
from growth.errors import ColumnNotFoundError, DataError


def test_numbers_are_dense_and_never_change_their_user():
    first = user_index(pa.table({"u": ["b", None, "a", "b", "用户"]}), user_col="u")
    assert first.to_pydict() == {"u": ["a", "b", "用户"], "user_idx": [0, 1, 2]}
    assert first["user_idx"].type == pa.int32()
    rest = pa.table({"u": ["c", "a", "A"]})
    later = user_index(rest, user_col="u", previous=first)
    assert later.to_pydict() == {
        "u": ["a", "b", "用户", "A", "c"],
        "user_idx": [0, 1, 2, 3, 4],
    }
    assert user_index(rest, user_col="u", previous=later).equals(later)


def test_after_a_single_user_the_next_is_another():
    one = user_index(pa.table({"user_id": ["b"]}))
    both = user_index(pa.table({"user_id": ["a", "b"]}), previous=one)
    assert both.to_pydict() == {"user_id": ["b", "a"], "user_idx": [0, 1]}


def test_a_deleted_user_leaves_a_hole():
    first = user_index(pa.table({"user_id": [7, 5, 6]}))
    kept = first.filter(pa.array([True, False, True]))
    later = user_index(pa.table({"user_id": [5, 9, 6]}), previous=kept)
    assert dict(zip(*later.to_pydict().values(), strict=True)) == {
        5: 0,
        7: 2,
        6: 3,
        9: 4,
    }
    none = user_index(pa.table({"user_id": pa.array([], pa.string())}))
    assert user_index(pa.table({"user_id": ["x"]}), previous=none)[
        "user_idx"
    ].to_pylist() == [0]


def test_too_many_users_and_a_missing_column_are_told():
    last = pa.table({"user_id": ["a"], "user_idx": pa.array([2**31 - 2], pa.int32())})
    with pytest.raises(DataError, match="there are 2147483648 users") as info:
        user_index(pa.table({"user_id": ["b"]}), previous=last)
    assert info.value.code == "too_many_users"
    with pytest.raises(ColumnNotFoundError, match="'user_id' not found"):
        user_index(pa.table({"who": ["b"]}))


@pytest.mark.parametrize("compiled", [True, False])
def test_texts_are_numbered_in_the_order_they_are_met(compiled, monkeypatch):
    if not compiled:
        for name in ("words", "intern"):
            monkeypatch.setattr(kernels, name, getattr(kernels, name).py_func)
        monkeypatch.setattr(kernels, "MIX", np.uint64(1))  # every slot collides
        monkeypatch.setattr(users, "FIRST_SLOTS", 4)
    rng = np.random.default_rng(1)
    texts = ["", "\0", "\0\0", "12345678", "12345678\0", "用户", "a" * 100]
    texts += [
        f"u{i}"
        for i in rng.integers(
            0, 60 if not compiled else 9000, 400 if not compiled else 30_000
        )
    ]
    mixed = [texts[i] for i in rng.integers(0, len(texts), 2 * len(texts))]
    numbers: dict[str, int] = {}
    wanted = [numbers.setdefault(text, len(numbers)) for text in mixed]
    interner = Interner()
    whole = pa.array(["skipped", *mixed])
    found = [
        code
        for start in range(1, len(whole), 997)
        for code in interner.encode(whole.slice(start, 997)).tolist()
    ]
    assert found == wanted
    assert interner.ids().to_pylist() == list(numbers)
    assert interner.encode(pa.array([], pa.string())).size == 0
    assert Interner().ids().to_pylist() == []
