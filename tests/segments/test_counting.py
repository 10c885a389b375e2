"""Movement, overlap and profile: from tagged users to an answer."""

import json
from datetime import date
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from growth import engine
from growth.errors import ColumnNotFoundError, ParameterError
from growth.segments import (
    Feature,
    Segment,
    Tag,
    Value,
    count,
    cross,
    hold_out,
    movement,
    movement_from_counts,
    overlap,
    overlap_from_masks,
    profile,
    profile_from_counts,
    rules_of,
    sizes,
    sizes_from_counts,
    tag_in,
)
from growth.segments.counting import _named
from growth.segments.tables import holds
from growth.stats.moments import Moments


def tagged(**columns):
    n = len(next(iter(columns.values())))
    return pa.table({"user_id": [f"u{i:05}" for i in range(n)]} | columns)


def frame(seed=0, n=3000, **more):
    rng = np.random.default_rng(seed)
    return tagged(
        value=rng.choice(["high", "low"], n, p=[0.3, 0.7]),
        stage=rng.choice(["new", "old", None], n, p=[0.3, 0.6, 0.1]),
        **more,
    )


def test_sizes_and_crosses_count_users_of_the_population():
    table = frame()
    found = sizes(table, "stage", values=("old", "new", "gone"), as_of=date(2026, 3, 1))
    known = [value for value in table["stage"].to_pylist() if value is not None]
    assert [(c.value, c.users) for c in found.cells] == [
        ("old", known.count("old")),
        ("new", known.count("new")),
        ("gone", 0),
    ]
    assert found.users == len(known)
    crossed = cross(table, "value", "stage")
    assert crossed.users == len(known)
    assert sum(cell.users for cell in crossed.cells) == len(known)
    json.dumps(found.to_dict() | crossed.to_dict(), allow_nan=False)
    with pytest.raises(ParameterError, match="must be two tags") as info:
        cross(table, "stage", "stage")
    assert info.value.code == "one_tag"


def test_movement_margins_are_the_two_dates():
    rng = np.random.default_rng(3)
    names = np.array(["a", "b", "c", None], dtype=object)
    before = tagged(t=names[rng.integers(0, 4, 2000)])
    after = tagged(t=names[rng.integers(0, 4, 2000)])
    found = movement(
        before, after, "t", first=date(2026, 1, 1), second=date(2026, 2, 1)
    )
    for side, table in (("before", before), ("after", after)):
        for value in "abc":
            total = sum(m.users for m in found.moves if getattr(m, side) == value)
            assert total == table["t"].to_pylist().count(value)
    joined = sum(m.users for m in found.moves if m.before == "absent")
    left = sum(m.users for m in found.moves if m.after == "absent")
    assert (joined, left) == (found.joined, found.left)
    rates = [m.share for m in found.moves if m.before == "a"]
    assert sum(rates) == pytest.approx(1)
    assert all(m.share_low <= m.share <= m.share_high for m in found.moves if m.share)


def test_an_empty_text_is_a_value_and_not_the_absence_of_one():
    table = tagged(t=["", "x"] * 30)
    found = movement(table, table.slice(10), "t")
    assert (found.users, found.joined, found.left) == (60, 0, 10)
    assert dict(found.before_users) == {"": 30, "x": 30}
    moves = {(m.before, m.after): m.users for m in found.moves}
    assert moves["", "absent"] == 5
    assert (moves["", ""], moves["x", "x"]) == (25, 25)


def test_a_value_is_not_called_as_those_outside_are():
    one, two = tagged(t=["absent"] * 20 + ["x"] * 40), tagged(t=["x"] * 60)
    named = {"values": ["absent", "x"]}
    for before, after, more in ((one, two, {}), (two, one, {}), (two, two, named)):
        with pytest.raises(ParameterError, match=r"value 'absent'.*call") as e:
            movement(before, after, "t", **more)
        assert e.value.code == "reserved_value"


def test_stability_is_told_three_ways():
    same = movement_from_counts({("a", "a"): 50, ("b", "b"): 50}, tag="t")
    assert (same.unchanged_rate, same.kappa, same.psi) == (1.0, 1.0, 0.0)
    assert same.verdict == "segments.movement.little"
    chance = {("a", "a"): 25, ("a", "b"): 25, ("b", "a"): 25, ("b", "b"): 25}
    assert movement_from_counts(chance, tag="t").kappa == 0.0
    moved = movement_from_counts(
        {("a", "a"): 20, ("a", "b"): 60, ("b", "b"): 20}, tag="t"
    )
    assert moved.verdict == "segments.movement.much"
    # p = (.8, .2), q = (.2, .8)
    assert moved.psi == pytest.approx(2 * 0.6 * np.log(4))
    nobody = movement_from_counts({}, tag="t")
    assert (nobody.unchanged_rate, nobody.kappa, nobody.psi) == (None, None, None)


def test_a_changed_rule_is_told_apart_from_people():
    before, old = tagged(t=["a"] * 6 + ["b"] * 4), tagged(t=["a"] * 5 + ["b"] * 5)
    new = tagged(t=["a"] * 2 + ["b"] * 8)
    found = movement(before, new, "t", under_old_rule=old)
    assert found.verdict == "segments.movement.rule_changed"
    assert found.rule_moved == 3
    moves = {(m.before, m.after): m.users for m in found.moves}
    assert moves["a", "b"] == 1  # people, by the old rule
    assert [n.code for n in found.notices] == ["segments_rule_changed"]


@pytest.mark.parametrize("moved", [3, 49, 551, 597])
def test_few_whom_a_new_rule_moves_or_leaves_alone_are_not_told(moved):
    old, other = ["a"] * 300 + ["b"] * 300, ["b"] * 300 + ["a"] * 300
    before, new = tagged(t=old), tagged(t=other[:moved] + old[moved:])
    plain = movement(before, new, "t", under_old_rule=before)
    assert plain.rule_moved == moved
    shared = movement(before, new, "t", under_old_rule=before, k=10, min_size=50)
    assert (shared.rule_changed, shared.rule_moved) == (True, None)
    assert shared.verdict == "segments.movement.rule_changed"
    assert [n.code for n in shared.notices] == ["segments_rule_changed_few"]
    assert str(moved) not in " ".join(n.words("en") for n in shared.notices)


@pytest.mark.parametrize("moved", [0, 50, 300, 550, 600])
def test_many_or_none_whom_a_new_rule_moves_are_told(moved):
    found = movement_from_counts(
        {("a", "a"): 300, ("b", "b"): 300}, tag="t", min_size=50, rule_moved=moved
    )
    assert found.rule_moved == moved
    assert [n.code for n in found.notices] == ["segments_rule_changed"]


def test_the_same_rule_has_no_number_of_its_own():
    found = movement_from_counts({("a", "a"): 300}, tag="t", min_size=50)
    assert (found.rule_changed, found.rule_moved, found.notices) == (False, None, ())


def test_small_moves_are_hidden_with_what_gives_them_back():
    counts = {("a", "a"): 500, ("a", "b"): 3, ("b", "a"): 90, ("b", "b"): 700}
    found = movement_from_counts(counts, tag="t", k=10, min_size=50)
    hidden = [(m.before, m.after) for m in found.moves if m.users is None]
    assert ("a", "b") in hidden
    assert len(hidden) >= 2


A = Segment("rich", tag_in("value", "high"))
B = Segment("new", tag_in("stage", "new"))


def test_overlap_is_exclusive_and_adds_up():
    table = frame(1)
    found = overlap(table, [A, B])
    rows = table.to_pylist()
    rich = {r["user_id"] for r in rows if r["value"] == "high"}
    new = {r["user_id"] for r in rows if r["stage"] == "new"}
    told = {i.segments: i.users for i in found.intersections}
    assert told == {
        ("rich", "new"): len(rich & new),
        ("rich",): len(rich - new),
        ("new",): len(new - rich),
    }
    assert found.none == len(rows) - len(rich | new)
    assert dict(found.sizes) == {"rich": len(rich), "new": len(new)}
    pair = found.pairs[0]
    assert pair.jaccard == len(rich & new) / len(rich | new)
    assert pair.lift == pytest.approx(
        len(rich & new) * len(rows) / len(rich) / len(new)
    )


def test_no_segment_is_lost_to_another_of_its_name():
    table = frame(1)
    with pytest.raises(ParameterError, match=r"'rich' twice.*name one anew") as info:
        overlap(table, [A, Segment("rich", B.when)])
    assert info.value.code == "duplicate_name"
    named = {"rich": A.when, "new": B.when}
    assert overlap(table, MappingProxyType(named)) == overlap(table, [A, B])


def users_of(table, when):
    source = engine.as_table(table)
    (when,) = _named({"x": when}).values()
    rows = engine.fetch(source.filter(holds(source, when)).select("user_id"))
    return set(rows["user_id"].to_pylist())


def test_set_algebra_holds_where_a_tag_is_known():
    rows = [row for row in frame(2).to_pylist() if row["stage"] is not None]
    table = pa.Table.from_pylist(rows)
    everybody = set(table["user_id"].to_pylist())
    a, b = users_of(table, A), users_of(table, B)
    assert users_of(table, A & B) == a & b
    assert users_of(table, A | B) == a | b
    assert users_of(table, A - B) == a - b
    assert users_of(table, ~A) == everybody - a
    assert users_of(table, ~~A) == a
    assert users_of(table, ~(A & B)) == users_of(table, ~A | ~B)


def test_not_a_segment_stays_within_the_population():
    table = tagged(value=["high", "low", None])
    assert users_of(table, ~A) == {"u00001"}


def test_sixty_two_segments_have_a_bit_each():
    table = tagged(n=[f"v{i}" for i in range(62)])
    segments = [Segment(f"s{i}", tag_in("n", f"v{i}")) for i in range(62)]
    found = overlap(table, segments)
    assert [n for _, n in found.sizes] == [1] * 62
    assert found.verdict == "segments.overlap.apart"
    for wrong in ([], [*segments, A]):
        with pytest.raises(ParameterError, match="1 to 62") as info:
            overlap(table, wrong)
        assert info.value.code == "too_many_segments"


def test_small_intersections_are_not_given_back_by_sizes():
    found = overlap_from_masks(
        {0: 500, 1: 400, 2: 300, 3: 4}, segments=["a", "b"], k=10
    )
    assert found.verdict == "segments.overlap.hidden"
    assert found.sizes == (("a", 404), ("b", 304))
    # 404 less those in a alone would be the four
    assert {i.segments: i.users for i in found.intersections} == {
        ("a",): None, ("b",): None, ("a", "b"): None,
    }  # fmt: skip
    assert found.none is None
    assert found.pairs[0].users is None
    small = overlap_from_masks({0: 500, 1: 40, 2: 300}, segments="ab", min_size=50)
    assert small.sizes == (("a", None), ("b", 300))


def test_no_intersection_follows_from_the_sizes_beside():
    rng = np.random.default_rng(4)
    for _ in range(60):
        counts = dict(enumerate(rng.negative_binomial(0.6, 0.02, 8).tolist()))
        found = overlap_from_masks(counts, segments="abc", k=10, min_size=50)
        masks = {i.segments: i.users for i in found.intersections} | {(): found.none}
        hidden = [
            mask for mask in counts
            if masks[tuple(n for i, n in enumerate("abc") if mask >> i & 1)] is None
        ]  # fmt: skip
        assert {m for m, n in counts.items() if 0 < n < 10} <= set(hidden)
        shown = [i for i, (_, n) in enumerate(found.sizes) if n is not None]
        known = [[1] * len(hidden), *([m >> i & 1 for m in hidden] for i in shown)]
        rank = np.linalg.matrix_rank(known) if hidden else 0
        for place, mask in enumerate(hidden):
            if 0 < counts[mask] < 10:
                unit = np.eye(len(hidden))[place]
                assert np.linalg.matrix_rank([*known, unit]) == rank + 1


def test_moves_do_not_give_back_what_the_sizes_beside_hide():
    moves = {
        ("a", "a"): 30, ("a", "b"): 12, ("b", "b"): 400, ("b", "c"): 25,
        ("c", "c"): 300, ("c", "a"): 11, (None, "b"): 20, ("b", None): 60,
    }  # fmt: skip
    at = [
        sizes_from_counts(
            {v: sum(n for pair, n in moves.items() if pair[side] == v) for v in "abc"},
            tag="t",
            min_size=50,
        )
        for side in (0, 1)
    ]
    away = tuple([c.value for c in one.cells if c.users is None] for one in at)
    assert away == (["a", "c"], ["a", "c"])
    found = movement_from_counts(moves, tag="t", k=10, min_size=50, also_hide=away)
    assert dict(found.before_users) == {"a": None, "b": 485, "c": None}
    assert dict(found.after_users) == {"a": None, "b": 432, "c": None}
    assert found.joined is None  # 20 are too few
    shown = {(m.before, m.after): m.users for m in found.moves}
    assert None in {shown["a", "a"], shown["c", "a"], shown["a", "b"]}
    assert found.unchanged_rate == round(730 / 778, 1)  # so few users, so coarse


def test_levels_that_few_have_are_left_out_on_both_sides():
    found = profile_from_counts(
        segment="s", users=500, rest=4000,
        categories={"region": {"44": (300, 2000), "31": (197, 1997), "11": (3, 3)}},
        numbers={}, k=10,
    )  # fmt: skip
    # 31 goes with 11, or 500 less the others would be the three
    assert [line.level for line in found.lines] == ["44"]
    assert [n.code for n in found.notices] == ["segments_levels_hidden"]
    table = tagged(value=["high"] * 60 + ["low"] * 90, x=list(range(150)))
    (line,) = profile(table, A, ["x"], k=10).lines
    assert (line.segment_median, line.rest_median) == (None, None)


@pytest.mark.parametrize(("small", "large"), [("high", "low"), ("low", "high")])
@pytest.mark.parametrize(
    "limits", [{"k": 10}, {"min_size": 50}, {"k": 4, "min_size": 4}]
)
def test_of_a_segment_too_small_to_share_a_profile_tells_nothing(small, large, limits):
    table = tagged(
        value=[small] * 3 + [large] * 200,
        region=["44", "31", "44"] + ["44", "31"] * 100,
        orders=list(range(203)),
    )
    found = profile(table, A, ["region", "orders"], min_side=1, **limits)
    assert (found.users, found.rest, found.lines) == (None, None, ())
    assert found.verdict == "segments.profile.hidden"
    assert (found.notices, found.estimates()) == ((), ())
    assert "3" not in json.dumps(found.to_dict())
    enough = profile(table, A, ["region", "orders"], min_side=1, k=3)
    assert {enough.users, enough.rest} == {3, 200}


def test_a_number_that_few_of_a_side_have_is_left_out():
    spent = [float(i) if i < 43 else None for i in range(200)]
    table = tagged(value=["low"] * 40 + ["high"] * 160, spent=spent)
    assert len(profile(table, A, ["spent"], min_side=1).lines) == 1
    assert profile(table, A, ["spent"], min_side=1, k=10).lines == ()


def test_nobody_is_told_of_a_profile():
    found = profile(tagged(value=["low"] * 90, x=["p"] * 90), A, ["x"], k=10)
    assert (found.users, found.rest) == (0, 90)
    assert found.verdict == "segments.profile.too_small"


def test_levels_of_a_profile_do_not_add_up_to_sizes_that_are_hidden():
    levels = {"a": (300, 2000), "b": (190, 1970), "c": (12, 15), "d": (20, 11)}
    asked = {
        "segment": "s", "users": 522, "rest": 3996, "categories": {"x": levels},
        "numbers": {}, "k": 10,
    }  # fmt: skip
    assert len(profile_from_counts(**asked).lines) == 4
    # 27 and 31 users are fewer than 50; together they are enough
    few = profile_from_counts(**asked, min_size=50)
    assert {line.level for line in few.lines} == {"a", "b"}
    beside = profile_from_counts(**asked, min_size=50, also_hide={"x": ["b", "c", "d"]})
    assert [line.level for line in beside.lines] == ["a"]
    table = tagged(value=["high"] * 60 + ["low"] * 90, x=["p", "q"] * 75)
    found = profile(table, A, ["x"], k=10, min_size=50, also_hide={"x": ["p", "q"]})
    assert found.lines == ()


def test_a_segment_is_over_tags():
    with pytest.raises(ParameterError, match="over tags") as info:
        overlap(frame(), {"x": count("orders") >= 1})
    assert info.value.code == "segment_of_metrics"
    with pytest.raises(ColumnNotFoundError, match="frequency"):
        overlap(frame(), {"x": tag_in("frequency", "dormant")})


def test_profile_is_against_the_rest_with_intervals():
    rng = np.random.default_rng(5)
    n = 4000
    high = rng.random(n) < 0.3
    table = tagged(
        value=np.where(high, "high", "low"),
        region=np.where(rng.random(n) < np.where(high, 0.5, 0.3), "44", "31"),
        orders=rng.poisson(np.where(high, 4, 2)),
        noise=rng.normal(size=n),
    )
    found = profile(table, A, ["region", "orders", "noise"])
    assert found.verdict == "segments.profile.differs"
    lines = {(line.feature, line.level): line for line in found.lines}
    region, orders = lines["region", "44"], lines["orders", None]
    data = table.to_pandas()
    rich, rest = data[data["value"] == "high"], data[data["value"] == "low"]
    assert region.segment == (rich["region"] == "44").mean()
    assert region.difference == pytest.approx(region.segment - region.rest)
    assert region.low < region.difference < region.high
    assert region.lift == pytest.approx(region.segment / region.rest)
    assert region.differs
    assert orders.segment == pytest.approx(rich["orders"].mean())
    assert orders.segment_median == rich["orders"].median()
    sd = np.sqrt((rich["orders"].var() + rest["orders"].var()) / 2)
    gap = rich["orders"].mean() - rest["orders"].mean()
    assert orders.standardised == pytest.approx(gap / sd)
    assert not lines["noise", None].differs


def test_profile_agrees_with_statsmodels():
    from scipy.stats import ttest_ind
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.proportion import confint_proportions_2indep

    rng = np.random.default_rng(6)
    table = tagged(
        value=rng.choice(["high", "low"], 900),
        region=rng.choice(["44", "31"], 900),
        spent=rng.normal(10, 3, 900),
    )
    found = profile(table, A, ["region", "spent"])
    data = pd.DataFrame(table.to_pandas())
    rich, rest = data[data["value"] == "high"], data[data["value"] != "high"]
    lines = {(line.feature, line.level): line for line in found.lines}
    want = confint_proportions_2indep(
        (rich["region"] == "44").sum(), len(rich),
        (rest["region"] == "44").sum(), len(rest), method="newcomb",
    )  # fmt: skip
    line = lines["region", "44"]
    assert (line.low, line.high) == pytest.approx(want, rel=1e-9)
    test = ttest_ind(rich["spent"], rest["spent"], equal_var=False)
    assert lines["spent", None].p_value == pytest.approx(test.pvalue, rel=1e-9)
    ps = [line.p_value for line in found.lines]
    want = multipletests(ps, alpha=0.05, method="fdr_bh")[1]
    assert [line.p_adjusted for line in found.lines] == pytest.approx(list(want))


def test_on_a_random_segment_few_lines_are_flagged():
    flagged, runs, n = 0, 400, 300
    rng = np.random.default_rng(11)
    for _ in range(runs):
        inside = rng.random(n) < 0.5
        kind = rng.integers(0, 3, n)
        categories = {
            "a": {
                str(k): (
                    int((kind[inside] == k).sum()),
                    int((kind[~inside] == k).sum()),
                )
                for k in range(3)
            }
        }
        values = rng.normal(size=(n, 1))
        sides = tuple(
            Feature(Moments.of(["b"], values[side]), None) for side in (inside, ~inside)
        )
        found = profile_from_counts(
            segment="random",
            users=int(inside.sum()),
            rest=int((~inside).sum()),
            categories=categories,
            numbers={"b": sides},
        )
        flagged += found.differing > 0
    assert flagged / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)


def test_what_defines_a_segment_is_not_tested():
    rules = rules_of(Tag("value", [Value("high", count("orders") >= 3)], default="low"))
    table = frame(7, value__count_orders=np.arange(3000), other=np.arange(3000) % 7)
    found = profile(table, A, ["value__count_orders", "value", "other"], rules=rules)
    assert {line.feature for line in found.lines} == {"other"}
    assert [dict(n.args)["column"] for n in found.notices] == [
        "value",
        "value__count_orders",
    ]


def test_sides_too_small_have_no_lines():
    table = tagged(value=["high"] * 10 + ["low"] * 90, x=list(range(100)))
    found = profile(table, A, ["x"])
    assert (found.lines, found.verdict) == ((), "segments.profile.too_small")
    assert [n.code for n in found.notices] == ["segments_side_too_small"]
    with pytest.raises(ParameterError, match="name columns") as info:
        profile(table, A, [])
    assert info.value.code == "nothing_asked"
    with pytest.raises(ParameterError, match="q is 5") as info:
        profile(table, A, ["x"], q=5)
    assert info.value.code == "alpha_out_of_range"


def test_a_hold_out_is_the_same_always():
    table = frame(8)
    found = engine.fetch(hold_out(table, share=0.3, salt="wake march"))
    again = engine.fetch(hold_out(table, share=0.3, salt="wake march"))
    assert found.equals(again)
    assert np.mean(found["hold_out"].to_pylist()) == pytest.approx(0.3, abs=0.03)
    other = engine.fetch(hold_out(table, share=0.3, salt="wake april"))
    assert not found["hold_out"].equals(other["hold_out"])
    with pytest.raises(ParameterError, match="write half as") as info:
        hold_out(table, share=30, salt="x")
    assert info.value.code == "bad_share"


def test_one_name_is_one_name():
    table = frame()
    named = sizes(table, "stage", values="gone")
    assert [c.users for c in named.cells if c.value == "gone"] == [0]
    assert {c.value for c in named.cells} == {"gone", "old", "new"}
    assert cross(table, "value", "stage", columns="gone").column_users[0] == ("gone", 0)
