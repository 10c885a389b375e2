"""Counts to rates, times and comparisons."""

import numpy as np
import pytest

from growth import funnel
from growth.errors import DataError, ParameterError
from growth.funnel.counting import median_ranks
from growth.stats.multiplicity import adjust
from growth.stats.proportions import Share, newcombe, pooled_z, wilson
from tests.funnel.made import ASKED, codes, log, reached

# Cookie Cats: players of each gate, and those who came back on day 1 and 7
GATES = {
    "gate_30": {"installed": 44_700, "day_1": 20_034, "day_7": 8_502},
    "gate_40": {"installed": 45_489, "day_1": 20_119, "day_7": 8_279},
}


def test_rates_have_wilson_intervals_of_the_right_base():
    result = funnel.measure_from_counts({"view": 1000, "cart": 240, "pay": 60})
    pay = result.steps[2]
    assert (pay.rate_from_start, pay.rate_from_previous) == (0.06, 0.25)
    assert (pay.low, pay.high) == wilson(Share(60, 1000))
    assert (pay.previous_low, pay.previous_high) == wilson(Share(60, 240))
    assert (pay.dropped, result.entered, result.by) == (180, 1000, ())
    assert result.times == ()
    assert result.whole_way is None
    assert result.to_html()


def test_a_funnel_nobody_entered_has_no_rates():
    result = funnel.measure_from_counts({"view": 0, "pay": 0})
    assert result.verdict == "funnel.measure.no_entry"
    assert result.steps[1].rate_from_start is None


@pytest.mark.parametrize(
    ("counts", "by", "words"),
    [
        ({"view": 10, "pay": 11}, None, "the count of 'pay' is 11, and of 'view'"),
        ({"view": 10, "pay": -1}, None, "the count of 'pay' is -1"),
        ({"view": 10, "pay": 1.5}, None, "the count of 'pay' is 1.5"),
        ({"B": {"view": 3, "pay": 4}}, "arm", "the count of 'pay' of 'B' is 4"),
    ],
)
def test_counts_that_cannot_be_name_their_cell(counts, by, words):
    with pytest.raises(DataError, match=words) as error:
        funnel.measure_from_counts(counts, by=by)
    assert error.value.code == "counts"


@pytest.mark.parametrize(
    ("counts", "by"),
    [
        ({"view": 10}, None),
        ({}, None),
        ({"A": {"view": 1, "pay": 1}, "B": {"pay": 1, "view": 1}}, "arm"),
        ({"A": 3}, "arm"),
        ({"A": {}}, "arm"),
    ],
)
def test_counts_need_the_same_steps_everywhere(counts, by):
    with pytest.raises(ParameterError, match="2 or more, the same") as error:
        funnel.measure_from_counts(counts, by=by)
    assert error.value.code == "steps"


def test_no_groups_at_all_are_refused():
    with pytest.raises(ParameterError, match="counts is empty"):
        funnel.measure_from_counts({}, by="arm")


def test_groups_of_counts_are_added_up():
    result = funnel.measure_from_counts(GATES, by="gate")
    assert [s.reached for s in result.totals] == [90_189, 40_153, 16_781]
    assert result.groups == ((("gate", "gate_30"),), (("gate", "gate_40"),))


def test_a_comparison_gives_the_published_figures_of_cookie_cats():
    # p 0.0744 and 0.0016, difference -0.82 points [-1.33, -0.31]
    result = funnel.measure_from_counts(GATES, by="gate")
    found = funnel.compare(result, by="gate", baseline="gate_30")
    day_1, day_7 = found.contrasts
    assert day_1.p_value == pytest.approx(0.0744, abs=5e-5)
    assert day_7.p_value == pytest.approx(0.0016, abs=5e-5)
    assert (day_7.difference, day_7.low, day_7.high) == pytest.approx(
        (-0.0082, -0.0133, -0.0031), abs=5e-5
    )
    assert found.verdict == "funnel.compare.worse"


def test_a_comparison_is_newcombe_pooled_z_and_holm_over_all_contrasts():
    counts = {
        "A": {"view": 900, "cart": 300, "pay": 90},
        "B": {"view": 1000, "cart": 390, "pay": 120},
        "C": {"view": 950, "cart": 310, "pay": 60},
    }
    found = funnel.compare(funnel.measure_from_counts(counts, by="arm"), baseline="A")
    p_values = []
    for contrast in found.contrasts:
        base, arm = counts["A"], counts[contrast.arm]
        pair = (
            Share(base[contrast.name], base["view"]),
            Share(arm[contrast.name], arm["view"]),
        )
        assert (contrast.low, contrast.high) == newcombe(*pair).interval(0.05)
        assert contrast.p_value == pooled_z(*pair).p_value
        p_values.append(contrast.p_value)
    assert len(p_values) == 4
    assert tuple(c.p_adjusted for c in found.contrasts) == adjust(p_values).p_adj
    assert found.verdict == "funnel.compare.mixed"
    assert "conditional_rate" in codes(found)
    cart_b = found.contrasts[0]
    assert (cart_b.conditional_rate, cart_b.baseline_conditional_rate) == (0.39, 1 / 3)
    loose = funnel.compare(
        funnel.measure_from_counts(counts, by="arm"), baseline="A", adjust="none"
    )
    assert tuple(c.p_adjusted for c in loose.contrasts) == tuple(p_values)
    assert len(found.estimates()) == len(found.rows()) == 4


def test_swapping_arms_flips_the_sign():
    result = funnel.measure_from_counts(GATES, by="gate")
    one = funnel.compare(result, baseline="gate_30").contrasts[1]
    other = funnel.compare(result, baseline="gate_40").contrasts[1]
    assert (one.difference, one.low, one.high) == pytest.approx(
        (-other.difference, -other.high, -other.low)
    )
    assert one.p_value == pytest.approx(other.p_value, rel=1e-12, abs=0)


def test_arms_alike_or_empty_give_no_verdict():
    alike = {"A": {"view": 100, "pay": 10}, "B": {"view": 100, "pay": 11}}
    found = funnel.compare(funnel.measure_from_counts(alike, by="arm"), baseline="A")
    assert found.verdict == "funnel.compare.no_difference"
    assert found.to_html("zh")
    empty = {"A": {"view": 0, "pay": 0}, "B": {"view": 100, "pay": 11}}
    found = funnel.compare(funnel.measure_from_counts(empty, by="arm"), baseline="A")
    assert found.verdict == "funnel.compare.none"
    assert found.contrasts[0].low is None
    few = {"A": {"view": 100, "pay": 3}, "B": {"view": 100, "pay": 11}}
    found = funnel.compare(funnel.measure_from_counts(few, by="arm"), baseline="A")
    assert codes(found)["funnel_low_counts"] == {"limit": 10}


def test_a_comparison_needs_one_column_and_two_arms():
    result = funnel.measure_from_counts(GATES, by="gate")
    with pytest.raises(ParameterError, match="must be one of these") as error:
        funnel.compare(result, baseline="gate_3O")
    assert error.value.code == "unknown_arm"
    with pytest.raises(ParameterError, match="must be by one column"):
        funnel.compare(result, by="arm", baseline="gate_30")
    with pytest.raises(ParameterError, match="must be in"):
        funnel.compare(result, baseline="gate_30", alpha=5)
    whole = funnel.measure_from_counts(GATES["gate_30"])
    with pytest.raises(ParameterError, match="must be by one column"):
        funnel.compare(whole, baseline="gate_30")
    alone = funnel.measure_from_counts({"A": GATES["gate_30"]}, by="gate")
    with pytest.raises(DataError, match="2 or more to compare") as error:
        funnel.compare(alone, baseline="A")
    assert error.value.code == "one_arm"


def test_arms_of_a_log_bring_their_median_times():
    rows, arms = [], []
    for i in range(40):
        arm = "A" if i % 2 else "B"
        rows += [(f"u{i}", 1, "view"), (f"u{i}", 1 + i, "pay")]
        arms += [arm, arm]
    rows.append(("x", 1, "view"))
    arms.append(None)
    result = funnel.measure(
        log(*rows, arm=arms), steps=["view", "pay"], by="arm", **ASKED
    )
    found = funnel.compare(result, baseline="A")
    (pay,) = found.contrasts
    assert (pay.median_s, pay.baseline_median_s) == (19 * 3600, 20 * 3600)
    assert pay.median_low_s < pay.median_s < pay.median_high_s
    assert codes(found)["arm_unknown"] == {"n": 1}


def test_times_are_members_of_the_data_but_for_an_even_median():
    hours = [1, 2, 4, 8, 16, 32]
    rows = log(
        *((f"u{i}", 0, "view") for i in range(6)),
        *((f"u{i}", h, "pay") for i, h in enumerate(hours)),
    )
    (gap, whole) = funnel.measure(rows, steps=["view", "pay"], **ASKED).times
    assert (gap.n, gap.mean_s) == (6, 63 * 600)
    assert [gap.p25_s, gap.p50_s, gap.p75_s, gap.p95_s] == [
        2 * 3600, 6 * 3600, 16 * 3600, 32 * 3600
    ]  # fmt: skip
    assert sum(bar.n for bar in gap.histogram) == 6
    assert gap.histogram[0].low_s <= 3600 < gap.histogram[0].high_s
    assert gap.histogram[-1].low_s <= 32 * 3600 < gap.histogram[-1].high_s
    assert whole.n == gap.n


def test_steps_at_one_instant_took_no_time():
    rows = log(("a", 1, "view"), ("a", 1, "pay"))
    result = funnel.measure(rows, steps=["view", "pay"], **ASKED)
    assert reached(result) == [1, 1]
    assert result.times[0].histogram[0].low_s == 0
    assert reached(
        funnel.measure(rows, steps=["view", "pay"], ties="strict", **ASKED)
    ) == [1, 0]


@pytest.mark.parametrize("n", [5, 31, 60])
def test_the_interval_of_a_median_is_the_bootstraps(n):
    rng = np.random.default_rng(n)
    drawn = np.sort(rng.integers(1, n + 1, (20_000, n)), axis=1)
    medians = drawn[:, (n - 1) // 2]
    low, high = median_ranks(n)
    assert abs(np.quantile(medians, 0.025) - low) <= 1
    assert abs(np.quantile(drawn[:, n // 2], 0.975) - high) <= 1
    assert low + high == n + 1


def test_groups_of_one_name_are_refused_and_none_stays_none():
    part = {"view": 5, "pay": 2}
    with pytest.raises(DataError, match="group '1' twice; each must") as error:
        funnel.measure_from_counts({1: part, "1": part}, by="variant")
    assert error.value.code == "counts"
    found = funnel.measure_from_counts({None: part, "None": part}, by="variant")
    assert {step.by for step in found.steps} == {
        (("variant", None),),
        (("variant", "None"),),
    }
