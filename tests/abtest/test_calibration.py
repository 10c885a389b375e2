import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.random import default_rng

from growth.abtest import (
    analyze,
    calibrate,
    calibrate_from_columns,
)
from growth.abtest.analysis import analyze_from_moments
from growth.abtest.calibration import _judged, _tested, _Units
from growth.abtest.cells import ArmCell, column_sets
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.stats.moments import Moments
from growth.stats.rerandomise import Redraw
from tests.abtest.made import codes, experiment, metric

N = 600


def people(n=N, seed=0, **extra):
    """Return columns of units: a share, a heavy tail, a ratio, covariates."""
    rng = default_rng(seed)
    pre = np.where(rng.random(n) < 0.5, rng.lognormal(3, 1, n), 0.0)
    paid = rng.random(n) < 0.2 + 0.1 * (pre > 0)
    visits = 1.0 + rng.poisson(3, n)
    return {
        "paid": paid.astype(float),
        "amount": np.where(paid, rng.lognormal(4, 1, n) + pre, 0.0) + 1e4,
        "orders": rng.binomial(visits.astype(int), 0.2).astype(float),
        "visits": visits,
        "pre": pre,
        "age": rng.normal(40, 10, n),
        **extra,
    }


PAID = metric("paid", kind="proportion")
AMOUNT = metric("amount", role="diagnostic")
RATIO = metric(
    "per_visit",
    kind="ratio",
    role="diagnostic",
    numerator={"column": "orders"},
    denominator={"column": "visits"},
)


def drawn(n, exp, seed, replications):
    """Return the arms that a calibration draws: 0 control, 1 treatment, -1 neither."""
    weights = [exp.arms[exp.control], exp.arms[exp.treatments[0]]]
    shares = [w / sum(exp.arms.values()) for w in weights]
    if len({exp.arms[a] for a in exp.treatments}) > 1:
        raise NotImplementedError
    drawing = Redraw(n, repeats=replications, shares=shares, seed=seed)
    drawing.add(np.eye(n))
    sums = drawing.sums().round()
    return np.where(sums[1] > 0, 1, np.where(sums[0] > 0, 0, -1))


def redrawn(columns, exp, *, replications=12, seed=5, labels=None):
    units = _Units(columns, exp, labels or {})
    tested = _tested(units, exp, seed=seed, replications=replications)
    return {(t.reading.name, t.reading.capped, t.method): t.found for t in tested}


def by_analysis(columns, exp, arms):
    """Return p and se of each metric by the room's own analysis."""
    names = np.array([exp.control, exp.treatments[0]])
    inside = arms >= 0
    frame = pd.DataFrame({n: np.asarray(c)[inside] for n, c in columns.items()})
    frame["unit_id"], frame["variant"] = np.arange(len(frame)), names[arms[inside]]
    found = analyze(frame, exp, by=[], unique=True)
    rows = [*found.effects, *found.twins]
    return {
        (e.metric, e.capped, e.method): (e.estimate, e.se, e.p_value)
        for e in rows
        if e.arm == exp.treatments[0]
    }


def compare(columns, exp, *, rel=1e-4, draws=3, labels=None):
    """Hold the matrix product against analyses of the same draws."""
    rows = len(next(iter(columns.values())))
    n = rows if exp.cluster is None else len(np.unique(columns[exp.cluster]))
    numbers = {k: v for k, v in columns.items() if np.asarray(v).dtype.kind in "fi"}
    found = redrawn(numbers, exp, labels=labels)
    arms = drawn(n, exp, 5, 12)
    for r in range(draws):
        arm = arms[r] if exp.cluster is None else arms[r][labels[exp.cluster]]
        for key, (estimate, se, p) in by_analysis(columns, exp, arm).items():
            tested = found[key]
            size = rel * se
            assert tested.difference[r] == pytest.approx(estimate, abs=size), key
            assert tested.se[r] == pytest.approx(se, rel=rel), key
            assert tested.p_value[r] == pytest.approx(p, rel=20 * rel, abs=1e-12), key
    return found


def test_every_draw_is_the_analysis_of_that_draw():
    exp = experiment(PAID, AMOUNT, RATIO)
    assert set(compare(people(), exp)) == {
        ("paid", None, "wald"),
        ("amount", None, "welch"),
        ("per_visit", None, "delta"),
    }


@pytest.mark.parametrize(
    "arms", [{"A": 1, "B": 3}, {"A": 1, "B": 1, "C": 1}, {"A": 20, "B": 1}], ids=str
)
def test_uneven_and_several_arms_are_drawn_by_weight(arms):
    compare(people(), experiment(PAID, AMOUNT, RATIO, arms=arms))


@pytest.mark.parametrize(
    "test", ["pooled", "newcombe", "miettinen_nurminen", "agresti_caffo"]
)
def test_every_test_of_shares_is_its_own(test):
    exp = experiment(metric("paid", kind="proportion", test=test))
    numbers = people()
    found = redrawn(numbers, exp)
    arms = drawn(N, exp, 5, 12)
    for r in range(4):
        ((_, _, method), (_, _, p)), *_ = by_analysis(numbers, exp, arms[r]).items()
        assert method == test
        assert found["paid", None, test].p_value[r] == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize(
    ("adjust", "se", "method"),
    [
        ("lin", "moments", "lin_moments"),
        ("lin", "hc2", "lin_hc2"),
        ("cuped", "hc2", "cuped"),
    ],
)
@pytest.mark.parametrize("covariates", [["pre"], ["pre", "age"]], ids=len)
def test_adjusted_estimates_are_the_analysis(adjust, se, method, covariates):
    exp = experiment(
        metric("paid", kind="proportion", covariates=covariates),
        {**AMOUNT, "covariates": covariates},
        {**RATIO, "covariates": covariates},
        adjust=adjust,
        se=se,
    )
    rel = 2e-3 if method == "lin_hc2" or adjust == "cuped" else 1e-4
    found = compare(people(2000), exp, rel=rel, draws=2)
    assert {key[2] for key in found} == {method, "wald", "welch", "delta"}


def test_many_covariates_take_equal_weights_of_units():
    rng = default_rng(3)
    names = [f"x{i}" for i in range(4)]
    extra = {name: rng.normal(size=3000) for name in names}
    exp = experiment({**AMOUNT, "covariates": names, "role": "goal"})
    compare(people(3000, **extra), exp, rel=0.03, draws=2)


def test_nulls_leave_their_metric_and_covariates_are_filled():
    columns = people(2000)
    rng = default_rng(9)
    for name in ("paid", "amount", "orders", "pre"):
        columns[name] = np.where(rng.random(2000) < 0.1, np.nan, columns[name])
    exp = experiment(PAID, {**AMOUNT, "covariates": ["pre"]}, RATIO, se="moments")
    compare(columns, exp, draws=2)


def test_capped_metrics_stand_beside_their_twins():
    exp = experiment({**AMOUNT, "role": "goal", "cap": {"upper": 0.95, "of": "all"}})
    found = compare(people(), exp)
    assert set(found) == {("amount", True, "welch"), ("amount", False, "welch")}
    fixed = experiment({**AMOUNT, "role": "goal", "cap": {"at": 10_050.0}})
    compare(people(), fixed)


def test_strata_are_the_analysis():
    columns = people()
    strata = default_rng(4).integers(0, 3, N)
    exp = experiment(AMOUNT | {"role": "goal"}, RATIO, stratify="city")
    numbers = dict(columns)
    found = redrawn(numbers, exp, labels={"city": strata})
    arms = drawn(N, exp, 5, 12)
    columns["city"] = np.array(["x", "y", "z"])[strata]
    # shares of the strata are those of all units: both arms hold them all here
    for r in range(2):
        for key, (estimate, se, p) in by_analysis(columns, exp, arms[r]).items():
            assert key[2] == "post_stratified"
            assert found[key].difference[r] == pytest.approx(estimate, abs=1e-4 * se)
            assert found[key].se[r] == pytest.approx(se, rel=1e-4)
            assert found[key].p_value[r] == pytest.approx(p, rel=1e-3)


def test_whole_clusters_are_drawn_together():
    columns = people()
    store = default_rng(8).integers(0, 60, N)
    store[:60] = np.arange(60)
    columns["store"] = store
    exp = experiment(PAID, AMOUNT, RATIO, unit="cluster", cluster="store")
    found = compare(columns, exp, labels={"store": store})
    assert {key[2] for key in found} == {"clusters"}


def test_units_alike_within_clusters_are_caught_unless_clusters_are_drawn():
    rng = default_rng(1)
    store = np.repeat(np.arange(200), 10)
    columns = {"m": rng.normal(size=200)[store] + rng.normal(size=2000)}
    whole = experiment(unit="cluster", cluster="store")
    honest = calibrate_from_columns(
        columns, whole, seed=1, replications=1000, labels={"store": store}
    )
    assert honest.verdict == "abtest.calibrate.ok"
    assert honest.units == 200


def test_a_quantile_is_drawn_near_its_rank():
    rng = default_rng(2)
    columns = {"ms": rng.lognormal(6, 1, 4000)}
    exp = experiment(metric("ms", kind="quantile", q=0.9))
    found = calibrate_from_columns(columns, exp, seed=3, replications=3000)
    (one,) = found.found
    assert one.method == "quantile"
    assert one.finding == "ok"
    assert 0.02 < one.rate < 0.1  # on these units; 0.05 on average over others
    assert one.error_ratio == pytest.approx(1, abs=0.1)
    # the spread of an arm's quantile, against drawing whole arms
    arms = rng.random((400, 4000)) < 0.5
    by_hand = [np.quantile(columns["ms"][a], 0.9) for a in arms]
    tested = redrawn(columns, exp, replications=2000)[("ms", None, "quantile")]
    assert tested.difference.std() == pytest.approx(2 * np.std(by_hand), rel=0.15)


def test_a_quantile_at_a_mass_is_not_computable():
    exp = experiment(metric("ms", kind="quantile", q=0.5))
    found = calibrate_from_columns({"ms": np.ones(500)}, exp, seed=3)
    assert found.found[0].not_computable_rate == 1
    assert found.verdict == "abtest.calibrate.too_few"
    assert codes(found) == ["rate_unsure"]


# -- what it says --------------------------------------------------------------------


def test_healthy_units_are_found_healthy_and_the_numbers_agree():
    exp = experiment(PAID, AMOUNT, RATIO)
    found = calibrate_from_columns(people(4000), exp, seed=11)
    assert found.verdict == "abtest.calibrate.ok"
    assert found.notices == ()
    assert (found.units, found.replications, found.alpha) == (4000, 2000, 0.05)
    for one in found.found:
        assert one.rate_low <= one.rate <= one.rate_high
        assert one.coverage == 1 - one.rate
        assert one.error_ratio == pytest.approx(1, abs=0.06)
        assert one.finding == "ok"
        assert one.not_computable_rate == 0
    assert [row["metric"] for row in found.rows()] == ["paid", "amount", "per_visit"]
    (first, *_) = found.estimates()
    assert first.key == "paid.false_positive_rate"
    assert (first.n, first.unit) == (2000, "share")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["alpha"] == 0.05
    assert "paid" in found.to_html("zh")


def test_the_same_seed_gives_the_same_and_another_does_not():
    exp = experiment(PAID, AMOUNT)
    one, again, other = (
        calibrate_from_columns(people(), exp, seed=seed, replications=300)
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one.rows() != other.rows()


def test_a_rate_off_alpha_is_said_and_few_draws_are_not_judged():
    # three buyers in all: Welch is far below alpha, which nobody holds against it
    few = np.zeros(1000)
    few[:3] = 100.0
    found = calibrate_from_columns({"m": few}, experiment(), seed=1)
    (one,) = found.found
    assert one.rate < 0.01
    assert one.nonzero == 2
    assert one.finding == "ok"
    assert one.unbounded_rate > 0.9
    short = calibrate_from_columns(people(), experiment(PAID), seed=1, replications=50)
    assert short.verdict == "abtest.calibrate.too_few"


@pytest.mark.parametrize(
    ("rate", "nonzero", "finding"),
    [
        (0.05, 1000, "ok"),
        (0.09, 3, "inflated"),
        (0.02, 1000, "conservative"),
        (0.02, 99, "ok"),
        (None, 1000, "unsure"),
    ],
)
def test_findings_need_certainty(rate, nonzero, finding):
    from dataclasses import replace

    found = calibrate_from_columns(people(), experiment(PAID), seed=1)
    one = replace(found.found[0], rate=rate, nonzero=nonzero)
    assert [r.finding for r in _judged([one], 0.05, blurs=[0.0])] == [finding]
    made = replace(found, found=tuple(_judged([one], 0.05, blurs=[0.0])))
    word = {"ok": "ok", "unsure": "too_few"}.get(finding, "suspicious")
    assert made.verdict == f"abtest.calibrate.{word}"


# -- tables --------------------------------------------------------------------------


def table(columns, **extra):
    n = len(next(iter(columns.values())))
    return pa.table({"unit_id": [f"u{i:05}" for i in range(n)], **columns, **extra})


def test_a_table_gives_what_its_columns_give():
    columns, exp = people(), experiment(PAID, {**AMOUNT, "covariates": ["pre"]}, RATIO)
    columns["pre"][::7] = np.nan
    arms = ["A", "B"] * (N // 2)
    found = calibrate(table(columns, variant=arms), exp, seed=4, replications=200)
    assert found == calibrate_from_columns(columns, exp, seed=4, replications=200)
    # the arms do not matter, nor whether there are any
    assert found == calibrate(table(columns), exp, seed=4, replications=200)


def test_closed_arms_are_left_out_and_nulls_are_null():
    columns = people()
    exp = experiment(PAID, AMOUNT, arms={"A": 1, "B": 1, "old": 0})
    arms = ["A", "B", "old"] * (N // 3)
    opened = np.arange(N) % 3 < 2
    amount = pa.array(columns["amount"], mask=np.arange(N) % 5 == 0)
    rows = table(columns, variant=arms).set_column(2, "amount", amount)
    columns["amount"] = np.where(np.arange(N) % 5 == 0, np.nan, columns["amount"])
    kept = {name: values[opened] for name, values in columns.items()}
    found = calibrate(rows, exp, seed=4, replications=200)
    assert found == calibrate_from_columns(kept, exp, seed=4, replications=200)


def test_strata_and_clusters_are_read_as_labels():
    columns = people()
    rng = default_rng(0)
    city = np.array(["广州", "深圳", None], dtype=object)[rng.integers(0, 3, N)]
    exp = experiment(AMOUNT | {"role": "goal"}, stratify="city")
    found = calibrate(table(columns, city=city), exp, seed=4, replications=300)
    assert {one.method for one in found.found} == {"post_stratified", "welch"}
    exp = experiment(AMOUNT | {"role": "goal"}, unit="cluster", cluster="store")
    store = [f"s{i % 50}" for i in range(N)]
    found = calibrate(table(columns, store=store), exp, seed=4, replications=300)
    assert found.units == 50


def test_a_column_that_is_missing_or_cannot_be_used_is_said():
    columns, exp = people(), experiment(PAID)
    with pytest.raises(ColumnNotFoundError, match="paid"):
        calibrate(table({"amount": columns["amount"]}), exp, seed=1)
    with pytest.raises(ParameterError, match="'paid' is needed") as info:
        calibrate_from_columns({"amount": columns["amount"]}, exp, seed=1)
    assert info.value.code == "moments_mismatch"
    cases = [
        ({"paid": [0.0, 2.0]}, "not_a_share", "holds 2.0"),
        ({"paid": [0.0, np.inf]}, "infinite_value", "infinite"),
        ({"paid": [0.0], "x": [1.0, 2.0]}, "length_mismatch", "as many"),
        ({"paid": []}, "no_units", "no units"),
    ]
    for given, code, words in cases:
        with pytest.raises(DataError, match=words) as info:
            calibrate_from_columns(given, exp, seed=1)
        assert info.value.code == code


@pytest.mark.parametrize(
    ("keys", "code", "words"),
    [
        ({"alpha": 5}, "alpha_out_of_range", "write 5%"),
        ({"seed": -1}, "bad_draws", "seed is -1"),
        ({"seed": 1.5}, "bad_draws", "seed is 1.5"),
        ({"replications": 0}, "bad_draws", "replications 0"),
    ],
)
def test_misuse_says_what_was_seen(keys, code, words):
    with pytest.raises(ParameterError, match=words) as info:
        calibrate_from_columns(people(), experiment(PAID), **{"seed": 1, **keys})
    assert info.value.code == code


def test_a_constant_covariate_or_metric_is_no_obstacle():
    columns = people(one=np.ones(N))
    exp = experiment({**AMOUNT, "role": "goal", "covariates": ["one"]}, metric("one"))
    found = calibrate_from_columns(columns, exp, seed=1, replications=200)
    by_name = {(one.metric, one.method): one for one in found.found}
    assert by_name["amount", "welch"].finding == "ok"
    assert by_name["one", "welch"].not_computable_rate == 1


def test_moments_of_a_draw_are_those_of_its_rows():
    """The same waist as the analysis: moments in, effects out."""
    columns, exp = people(), experiment(PAID, AMOUNT, RATIO)
    found = redrawn(columns, exp)
    arms = drawn(N, exp, 5, 12)
    sets = column_sets(exp)
    for r in range(12):
        cells = [
            ArmCell(
                ("variant",),
                (name,),
                int((arms[r] == i).sum()),
                {
                    s: Moments.of(
                        s, np.column_stack([columns[c][arms[r] == i] for c in s])
                    )
                    for s in sets
                },
            )
            for i, name in enumerate("AB")
        ]
        for e in analyze_from_moments(cells, exp).effects:
            tested = found[e.metric, None, e.method]
            assert tested.p_value[r] == pytest.approx(e.p_value, rel=1e-3)
