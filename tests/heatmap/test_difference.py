import json

import numpy as np
import pyarrow as pa
import pytest

from growth.errors import DataError, ParameterError
from growth.heatmap import compare, compare_from_counts, compare_from_pairs, kernels
from growth.heatmap.difference import fisher
from tests.heatmap.made import codes, log, tap


def drawn(seed, lift=0.0, users=600, items=30):
    """Return pairs of taps by users who differ in how much they tap, and arms."""
    rng = np.random.default_rng(seed)
    arm = rng.permutation(np.repeat([0, 1], users // 2)).astype(np.int8)
    zeal = rng.gamma(1.0, 1.0, users)  # clusters: a zealous user taps many cells
    rate = np.outer(zeal, rng.beta(1, 12, items))
    rate[:, 0] += lift * arm
    user, item = np.nonzero(rng.random(rate.shape) < np.minimum(rate, 0.95))
    return item.astype(np.int32), user.astype(np.int32), arm


NAMES = [f"e{i}" for i in range(30)]


def test_items_against_statsmodels():
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    counts = {"a": (60, 90), "b": (30, 31), "c": (55, 20), "rare": (4, 9)}
    found = compare_from_counts(counts, (400, 420))
    by = {i.item: i for i in found.items}
    kept = ["a", "b", "c"]
    p = []
    for name in kept:
        x = counts[name]
        _, value = proportion.proportions_ztest(x, (400, 420))
        p.append(value)
        low, high = proportion.confint_proportions_2indep(
            x[1], 420, x[0], 400, method="newcomb"
        )
        assert by[name].p_value == pytest.approx(value)
        assert (by[name].low, by[name].high) == pytest.approx((low, high))
    q = multitest.multipletests(p, method="fdr_bh")[1]
    assert [by[n].q_value for n in kept] == pytest.approx(q.tolist())
    assert by["rare"].p_value is None  # too few in both arms together
    assert found.items[-1].item == "rare"


def test_few_expected_taps_are_tested_exactly():
    stats = pytest.importorskip("scipy.stats")
    found = compare_from_counts({"a": (19, 3)}, (2000, 200))
    want = stats.fisher_exact([[19, 1981], [3, 197]]).pvalue
    assert found.items[0].method == "fisher"
    assert found.items[0].p_value == pytest.approx(want)
    for a, b in ((0, 30), (30, 0), (5, 5), (12, 1)):
        want = stats.fisher_exact([[a, 40 - a], [b, 50 - b]]).pvalue
        assert fisher(a, 40, b, 50) == pytest.approx(want)


def test_exchanging_the_arms_turns_signs_and_keeps_p():
    item, user, arm = drawn(3, lift=0.3)
    one = compare_from_pairs(item, user, arm, names=NAMES, rounds=199)
    two = compare_from_pairs(item, user, 1 - arm, names=NAMES, rounds=199)
    first = {i.item: i for i in one.items}
    for i in two.items:
        assert i.difference == pytest.approx(-first[i.item].difference)
        assert i.p_value == pytest.approx(first[i.item].p_value)
    assert one.statistic == pytest.approx(two.statistic)
    assert (one.p_value, two.p_value) == (1 / 200, 1 / 200)
    assert one.verdict == "heatmap.compare.moved"
    assert one.found[0].item == "e0"
    assert json.dumps(one.to_dict(), allow_nan=False)


def test_the_statistic_and_its_permutations_by_hand():
    item, user, arm = drawn(8, users=240, items=30)
    found = compare_from_pairs(item, user, arm, names=NAMES, rounds=400, seed=4)
    hits = np.zeros((240, 30))
    hits[user, item] = 1

    def statistic(arms):
        n_b = arms.sum()
        n_a = len(arms) - n_b
        value = 0.0
        for column in hits.T:
            p = column.mean()
            if column.sum() >= 20 and 0 < p < 1:
                gap = column[arms == 1].mean() - column[arms == 0].mean()
                value += gap**2 * n_a * n_b / (n_a + n_b) / (p * (1 - p))
        return value

    assert found.statistic == pytest.approx(statistic(arm))
    rng = np.random.default_rng(0)
    redrawn = [statistic(rng.permutation(arm)) for _ in range(400)]
    p = (1 + sum(t >= statistic(arm) for t in redrawn)) / 401
    assert found.p_value == pytest.approx(p, abs=0.1)


def test_the_overall_p_is_uniform_without_a_difference():
    stats = pytest.importorskip("scipy.stats")
    p = []
    for seed in range(300):
        item, user, arm = drawn(seed, users=300, items=12)
        p.append(
            compare_from_pairs(item, user, arm, names=NAMES[:12], rounds=99).p_value
        )
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_false_discoveries_stay_below_the_level_beside_a_true_one():
    """Of 12 items one is moved; the rest are found no more often than promised."""
    false = []
    for seed in range(200):
        item, user, arm = drawn(seed, users=400, items=12)
        rng = np.random.default_rng(seed)
        gone = (item == 0) & (arm[user] == 1) & (rng.random(len(item)) < 0.8)
        result = compare_from_pairs(
            item[~gone], user[~gone], arm, names=NAMES[:12], rounds=1
        )
        wrong = [i for i in result.found if i.item != NAMES[0]]
        false.append(len(wrong) / max(len(result.found), 1))
    assert np.mean(false) <= 0.05 + 2 * np.std(false) / np.sqrt(len(false))


def test_arms_are_exchanged_within_strata_only():
    cell = np.zeros(40, np.int32)
    user = np.arange(40, dtype=np.int32)
    arm = np.r_[np.ones(40), np.zeros(40)].astype(np.int8)
    weight = np.ones(1)
    whole = (cell, user, arm, np.array([80]), weight, 0.5, 50, 1)
    held = (cell, user, arm, np.array([40, 80]), weight, 0.5, 50, 1)
    assert len(set(kernels.permute(*whole).tolist())) > 3
    assert set(kernels.permute(*held).tolist()) == {400.0}  # nobody can move
    with np.errstate(over="ignore"):
        plain = kernels.permute.py_func(*whole)
    assert plain.tolist() == kernels.permute(*whole).tolist()


def experiment(users=260, moved=True, split=0.5):
    rng = np.random.default_rng(7)
    rows, arms = [], []
    for i in range(users):
        b = i < split * users
        name = {"user_id": f"u{i:03}", "platform": "ios" if i % 3 else "android"}
        arms.append((name["user_id"], "B" if b else "A", "e"))
        rows.append({**name, "event": "page_view"})
        for k, (element, rate) in enumerate(
            (("buy", 0.6 if b and moved else 0.3), ("nav", 0.4))
        ):
            if rng.random() < rate:
                rows.append(
                    tap(40 + 100 * k, 60, 500 * k + 9, element_id=element, **name)
                )
    columns = zip(*arms, strict=True)
    table = dict(zip(("unit_id", "variant", "exp_id"), columns, strict=True))
    return log(*rows), pa.table({name: list(v) for name, v in table.items()})


@pytest.mark.parametrize(("kind", "item"), [("elements", "buy"), ("cells", "1,2")])
def test_a_planted_shift_is_found_in_a_table(kind, item):
    events, arms = experiment()
    found = compare(events, assignments=arms, exp_id="e", kind=kind, rounds=499)
    assert found.verdict == "heatmap.compare.moved"
    assert [i.item for i in found.found] == [item]
    assert (found.units_a, found.units_b) == (130, 130)
    assert (found.arm_a, found.arm_b, found.page) == ("A", "B", "p")
    assert ("cells_say_position" in codes(found)) == (kind == "cells")
    turned = compare(events, assignments=arms, arms=("B", "A"), kind=kind, rounds=499)
    assert turned.items[0].difference == pytest.approx(-found.items[0].difference)
    again = compare(
        events.take(pa.array(range(len(events))[::-1])),
        assignments=arms,
        kind=kind,
        rounds=499,
    )
    assert again.to_dict() == found.to_dict()


@pytest.mark.parametrize("side", [50.0, np.int64(50)])
def test_the_side_of_a_cell_may_be_any_whole_number(side):
    events, arms = experiment()
    asked = {"assignments": arms, "kind": "cells", "rounds": 9}
    found = compare(events, cell_rpx=side, **asked)
    assert found.to_dict() == compare(events, cell_rpx=50, **asked).to_dict()
    assert type(found.cell_rpx) is int


def test_users_in_two_arms_are_in_neither():
    events, arms = experiment()
    both = pa.concat_tables(
        [arms, pa.table({"unit_id": ["u000"], "variant": ["A"], "exp_id": ["e"]})]
    )
    found = compare(events, assignments=both, rounds=9)
    assert (found.units_b, found.crossovers) == (129, 1)
    assert "crossovers" in codes(found)


def test_a_broken_split_blocks_the_verdict_unless_chance_did_not_make_the_arms():
    events, arms = experiment(split=0.3)
    found = compare(events, assignments=arms, rounds=99)
    assert found.verdict == "heatmap.compare.mismatch"
    assert "split_mismatch" in codes(found)
    planned = compare(events, assignments=arms, rounds=99, planned={"A": 7, "B": 3})
    assert planned.verdict == "heatmap.compare.too_few"  # 78 users of B
    watched = compare(
        experiment()[0], assignments=experiment()[1], rounds=99, randomised=False
    )
    assert watched.verdict == "heatmap.compare.differs"
    assert "not_randomised" in codes(watched)


@pytest.mark.parametrize(
    ("kwargs", "error", "code", "message"),
    [
        ({"kind": "x"}, ParameterError, "unknown_kind", "kind is 'x'"),
        ({"arms": ("A", "C")}, ParameterError, "unknown_arm", "arms is .*'C'"),
        (
            {"assignments": None},
            ParameterError,
            "assignments_needed",
            "assignments is missing",
        ),
        ({"exp_id": "zzz"}, DataError, "no_units", "no assignment of experiment 'zzz'"),
        ({"rounds": 0}, ParameterError, "bad_rounds", "rounds is 0"),
        ({"alpha": 5}, ParameterError, "alpha_out_of_range", "alpha is 5"),
        ({"page": "home"}, ParameterError, "unknown_page", "0 pages are read"),
        ({"pagee": "home"}, ParameterError, "unknown_argument", "Did you mean 'page'"),
    ],
)
def test_faults_say_what_was_seen(kwargs, error, code, message):
    events, arms = experiment(users=40)
    with pytest.raises(error, match=message) as info:
        compare(events, **{"assignments": arms, **kwargs})
    assert info.value.code == code


def test_an_arm_without_viewers_is_refused():
    with pytest.raises(DataError, match=r"0 users of 'A' and 9 of 'B'") as info:
        compare_from_counts({"x": (0, 1)}, (0, 9))
    assert info.value.code == "no_units"
