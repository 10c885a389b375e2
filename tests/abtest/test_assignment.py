import timeit
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth import synth
from growth.abtest import assign, assign_many, load_experiment, overlapping
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.stats.counts import chi2_goodness_of_fit, chi2_independence
from tests.abtest.golden import cases
from tests.abtest.made import experiment

UNITS = [f"u{i}" for i in range(20_000)]

coverages = st.floats(0, 1)
weights = st.lists(st.integers(0, 9), min_size=2, max_size=5).filter(
    lambda w: w[0] > 0 and sum(x > 0 for x in w) > 1
)


def made(weights=(1, 1), **keys):
    arms = {chr(ord("A") + i): w for i, w in enumerate(weights)}
    return experiment(arms=arms, control="A", **keys)


def test_published_places_decide():
    (case,) = cases("hash_sha256")
    for item, at in zip(case["input"], case["expected"], strict=True):
        if not (item["layer"] and item["salt"]):
            continue  # a declaration names both
        keys = {"layer": item["layer"], "salt": item["salt"]}
        below = made((at * 0.999, 1 - at * 0.999), **keys)
        above = made((at * 1.001, 1 - at * 1.001), **keys)
        assert assign(item["unit"], below) == "B"
        assert assign(item["unit"], above) == "A"


def test_published_growthbook_places_decide():
    (case,) = cases("hash_growthbook")
    for item, at in zip(case["input"], case["expected"], strict=True):
        if not item["seed"]:
            continue
        how = {"scheme": "growthbook", "version": item["version"]}
        exp = made((at, 1 - at), salt=item["seed"])
        assert assign(item["value"], exp, **how) == "B"  # [at, 1) holds it
        exp = made((at + 1e-4, 1 - at - 1e-4), salt=item["seed"])
        assert assign(item["value"], exp, **how) == "A"


def test_published_ranges_decide():
    (case,) = cases("bucket_ranges")
    for item, ranges in zip(case["input"], case["expected"], strict=True):
        exp = made(item["weights"] or [1] * item["arms"], coverage=item["coverage"])
        seen = Counter(assign(unit, exp) for unit in UNITS)
        for arm, (low, high) in zip(exp.arms, ranges, strict=True):
            share = high - low
            error = 5 * (share * (1 - share) / len(UNITS)) ** 0.5
            assert abs(seen[arm] / len(UNITS) - share) <= error


@given(st.text(min_size=1).filter(lambda t: "\x1f" not in t), weights, coverages)
def test_raising_the_coverage_moves_nobody(unit, shares, low):
    exp = made(shares, coverage=low)
    before = assign(unit, exp)
    for more in (low + (1 - low) / 3, 1.0):
        after = assign(unit, replace(exp, coverage=more))
        assert before is None or before == after
    assert assign(unit, replace(exp, coverage=1.0)) is not None
    assert assign(unit, replace(exp, coverage=0.0)) is None


@pytest.mark.parametrize("scheme", ["sha256", "growthbook"])
def test_shares_are_the_weights_and_closed_arms_stay_empty(scheme):
    exp = made((5, 3, 0, 2), id="shares-2")
    seen = Counter(assign(unit, exp, scheme=scheme) for unit in UNITS)
    assert set(seen) == {"A", "B", "D"}
    planned = [len(UNITS) * w / 10 for w in (5, 3, 2)]
    test = chi2_goodness_of_fit([seen[arm] for arm in "ABD"], planned)
    assert test.p_value > 0.001


@pytest.mark.parametrize(
    "other", [{"layer": "price"}, {"salt": "again"}, {"id": "e2"}], ids=str
)
def test_another_layer_salt_or_experiment_is_independent(other):
    one, two = made(), made((1, 2), **other)
    table = Counter((assign(unit, one), assign(unit, two)) for unit in UNITS)
    found = chi2_independence([[table[a, b] for b in "AB"] for a in "AB"])
    assert found.p_value > 0.001


@pytest.mark.parametrize("scheme", ["sha256", "growthbook"])
def test_ranges_of_one_layer_share_no_unit(scheme):
    first = made(id="first", range=[0, 0.4])
    second = made(id="second", range=[0.4, 1])
    arms = [
        (assign(u, first, scheme=scheme), assign(u, second, scheme=scheme))
        for u in UNITS
    ]
    assert all((a is None) != (b is None) for a, b in arms)
    inside = [a for a, _ in arms if a]
    assert len(inside) / len(UNITS) == pytest.approx(0.4, abs=0.02)
    assert Counter(inside)["A"] / len(inside) == pytest.approx(0.5, abs=0.03)
    whole = replace(first, range=(0.0, 1.0))  # widening the range moves nobody either
    assert all(
        a in (None, assign(u, whole, scheme=scheme))
        for u, (a, _) in zip(UNITS, arms, strict=True)
    )


def test_overlapping_experiments_are_named():
    one = made(id="one", range=[0, 0.5])
    two = made(id="two", range=[0.5, 1])
    three = made(id="three", range=[0.25, 0.75])
    four = made(id="four", layer="price")
    assert overlapping([one, two, four]) == ()
    assert overlapping([one, two, three]) == (("one", "three"), ("two", "three"))


def test_a_number_is_its_digits():
    exp = made()
    assert [assign(i, exp) for i in range(50)] == [
        assign(str(i), exp) for i in range(50)
    ]


@pytest.mark.parametrize("unit", ["", None, True, 1.5, b"u1"])
def test_what_is_no_id_is_refused(unit):
    with pytest.raises(DataError, match=r"unit is .*; it must be a text") as info:
        assign(unit, made())
    assert info.value.code == "bad_unit"


def test_the_separator_and_other_scripts_are_refused_where_they_would_mislead():
    with pytest.raises(DataError, match=r"U\+001F.*clean the ids") as info:
        assign("a\x1fb", made())
    assert info.value.code == "separator_in_id"
    with pytest.raises(DataError, match="not ASCII") as info:
        assign("用户一", made(), scheme="growthbook")
    assert info.value.code == "non_ascii_id"
    with pytest.raises(ParameterError, match="Did you mean 'growthbook'") as info:
        assign("u1", made(), scheme="growth_book")
    assert info.value.code == "unknown_scheme"
    with pytest.raises(ParameterError, match="1 or 2") as info:
        assign("u1", made(), scheme="growthbook", version=3)
    assert info.value.code == "unknown_version"


def test_one_unit_takes_microseconds():
    exp = made((1, 1, 1, 1), range=[0.1, 0.9], coverage=0.5)
    spent = min(timeit.repeat(lambda: assign("u123", exp), number=500, repeat=20))
    assert spent / 500 < 20e-6


# -- tables --------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.text(max_size=8).filter(lambda t: "\x1f" not in t and "\0" not in t),
        max_size=20,
    ),
    weights,
    coverages,
)
def test_sql_gives_what_python_gives(units, shares, coverage):
    exp = made(shares, coverage=coverage, layer="首页", range=[0.2, 0.9])
    rows = assign_many(pa.table({"unit_id": pa.array(units, pa.string())}), exp)
    found = {r["unit_id"]: r["variant"] for r in rows.to_pyarrow().to_pylist()}
    assert found == {u: assign(u, exp) if u else None for u in units}


def test_a_table_keeps_its_rows_and_gains_a_column():
    table = pa.table({"uid": [3, 1, None, 2], "x": [1.0, 2.0, 3.0, 4.0]})
    found = assign_many(table, made(), unit_col="uid", variant_col="arm").to_pyarrow()
    assert found.select(["uid", "x"]).equals(table)
    arms = [None if i is None else assign(i, made()) for i in (3, 1, None, 2)]
    assert found["arm"].to_pylist() == arms


def test_a_table_without_usable_ids_is_refused():
    with pytest.raises(ColumnNotFoundError, match="unit_id"):
        assign_many(pa.table({"unit": ["a"]}), made())
    with pytest.raises(DataError, match="float64; ids must be text") as info:
        assign_many(pa.table({"unit_id": [1.5]}), made())
    assert info.value.code == "column_type"
    with pytest.raises(ParameterError, match="'variant' already") as info:
        assign_many(pa.table({"unit_id": ["a"], "variant": ["A"]}), made())
    assert info.value.code == "column_twice"


def test_the_samples_arms_are_the_assigned_ones(tmp_path):
    synth.sample(tmp_path / "sample", seed=3, users=400)
    import growth

    rows = growth.open(tmp_path / "sample").assignments.to_pyarrow().to_pylist()
    assert len(rows) > 100
    for name in ("home_layout", "aa_check", "broken_split"):
        exp = load_experiment(tmp_path / "sample" / "experiments" / f"{name}.toml")
        seen = {(r["unit_id"], r["variant"]) for r in rows if r["exp_id"] == name}
        assert seen
        assert seen == {(unit, assign(unit, exp)) for unit, _ in seen}
