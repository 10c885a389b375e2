"""A unit table built from canonical tables, against plain Python over the rows."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.random import default_rng

import growth
from growth.abtest import (
    analyze,
    check_split,
    decide,
    load_experiment,
    trend,
    unit_table,
)
from growth.errors import ColumnNotFoundError, DataError, ParameterError
from growth.result import Notice
from tests.abtest.made import codes, experiment, metric

START = datetime(2026, 1, 31, 16, tzinfo=UTC)  # local midnight of 1 February
DAY = timedelta(days=1)
MS = timedelta(milliseconds=1)
INSTANT = pa.timestamp("ms", tz="UTC")


def stamp(days, **more):
    return START + timedelta(days=days, **more)


def write(folder, name, rows, instants=("ts",)):
    names = list(rows[0])
    columns = {}
    for key in names:
        values = [row[key] for row in rows]
        columns[key] = (
            pa.array(values, INSTANT) if key in instants else pa.array(values)
        )
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def assigned(unit, variant, at, **extra):
    return {"unit_id": unit, "exp_id": "e", "variant": variant, "ts": at, **extra}


def order(user, at, fen=100, number=None):
    return {
        "order_id": str(number or f"{user}{at}"),
        "user_id": user,
        "pay_ts": at,
        "paid_fen": fen,
    }


PAY = metric("pay", kind="proportion", value={"table": "orders", "agg": "any"})
GMV = metric("gmv", value={"table": "orders", "agg": "sum", "column": "paid_fen"})


def built(tmp_path, exposures, orders, exp, as_of=None, events=None, **keys):
    write(tmp_path, "assignments", exposures)
    write(tmp_path, "orders", orders, ("pay_ts",))
    if events:
        write(tmp_path, "events", events)
    return unit_table(growth.open(tmp_path), exp, as_of=as_of or stamp(100), **keys)


def by_unit(units, column):
    rows = units.table.to_pyarrow().to_pylist()
    return {row["unit_id"]: row[column] for row in rows}


def test_the_window_is_half_open_from_the_exposure(tmp_path):
    exposures = [
        assigned(u, v, stamp(1)) for u, v in zip("abcdef", "ABABAB", strict=True)
    ]
    orders = [
        order("a", stamp(1)),  # at the exposure: counts
        order("b", stamp(1) - MS),  # before: does not
        order("c", stamp(8) - MS),  # last instant of seven days
        order("d", stamp(8)),  # over
        order("e", None),  # never paid
    ]
    exp = experiment({**PAY, "window_days": 7})
    units = built(tmp_path, exposures, orders, exp)
    assert by_unit(units, "pay") == dict(zip("abcdef", (1, 0, 1, 0, 0, 0), strict=True))
    assert (units.units, units.immature) == (6, {})


def test_as_of_ends_every_window_and_leaves_the_immature_unknown(tmp_path):
    exposures = [assigned("a", "A", stamp(0)), assigned("b", "B", stamp(4))]
    orders = [order("a", stamp(10)), order("b", stamp(8)), order("b", stamp(12))]
    exp = experiment(GMV, {**PAY, "window_days": 7})
    # a date is the local midnight that ends it: 10 February ends at stamp(10)
    units = built(tmp_path, exposures, orders, exp, as_of=date(2026, 2, 10))
    assert units.as_of == stamp(10)
    assert by_unit(units, "gmv") == {"a": 0, "b": 100}
    assert by_unit(units, "pay") == {"a": 0, "b": None}
    assert units.immature == {"pay": 1}
    ripe = built(tmp_path, exposures, orders, exp, as_of=stamp(11))
    assert by_unit(ripe, "pay") == {"a": 0, "b": 1}  # exactly over is over


def test_covariates_count_the_days_before_exposure(tmp_path):
    exposures = [assigned(u, v, stamp(30)) for u, v in zip("abcd", "ABAB", strict=True)]
    orders = [
        order("a", stamp(30), 1),  # at the exposure: the metric's
        order("b", stamp(30) - MS, 2),
        order("c", stamp(2), 4),
        order("d", stamp(2) - MS, 8),
    ]
    exp = experiment(
        {**GMV, "covariates": ["pre"]},
        covariate=[
            {
                "name": "pre",
                "value": {"table": "orders", "agg": "sum", "column": "paid_fen"},
                "days": 28,
            }
        ],
    )
    units = built(tmp_path, exposures, orders, exp)
    assert by_unit(units, "pre") == {"a": 0, "b": 2, "c": 4, "d": 0}
    assert by_unit(units, "gmv") == {"a": 1, "b": 0, "c": 0, "d": 0}


def test_a_unit_counts_from_its_first_exposure_if_that_is_in_the_dates(tmp_path):
    exposures = [
        assigned("a", "A", stamp(5)),
        assigned("a", "A", stamp(2)),
        assigned("b", "B", stamp(0) - MS),  # before the start
        assigned("b", "B", stamp(3)),
        assigned("c", "B", stamp(0)),
        assigned("d", "A", stamp(7)),  # the end is exclusive
        assigned("x", "A", stamp(1)) | {"exp_id": "other"},
    ]
    exp = experiment(GMV, start="2026-02-01", end="2026-02-08")
    units = built(tmp_path, exposures, [order("a", stamp(3))], exp)
    assert by_unit(units, "exposure_ts") == {"a": stamp(2), "c": stamp(0)}
    assert by_unit(units, "exposure_ds") == {
        "a": date(2026, 2, 3),
        "c": date(2026, 2, 1),
    }
    assert by_unit(units, "gmv") == {"a": 100, "c": 0}
    late = Notice("exposed_before_start", args=(("units", 1),))
    assert units.notices == (late,)
    assert (units.first_day, units.last_day) == (date(2026, 2, 1), date(2026, 2, 3))


def test_units_in_two_arms_are_set_apart_also_when_only_flagged(tmp_path):
    exposures = [
        *[assigned(f"a{i}", "AB"[i % 2], stamp(1), conflict=False) for i in range(8)],
        assigned("both", "A", stamp(1), conflict=False),
        assigned("both", "B", stamp(2), conflict=False),
        assigned("flagged", "A", stamp(1), conflict=True),
    ]
    units = built(tmp_path, exposures, [order("a0", stamp(2))], experiment(GMV))
    assert (units.units, units.crossovers) == (8, 2)
    check = check_split(units)
    assert (check.units, check.crossovers, check.crossover_rate) == (8, 2, 0.2)
    analysis = analyze(units, units.experiment)
    assert (analysis.units, analysis.crossovers) == (8, 2)
    assert decide(analysis, check).outcome == "invalid"


def exposed(user, variant, at, **extra):
    shown = {"event": "exp_exposure", "exp_id": "e", "variant": variant}
    return {"user_id": user, "ts": at, **shown, **extra}


def test_exposure_events_serve_without_assignments_and_show_crossovers(tmp_path):
    events = [
        exposed("a", "A", stamp(2)),
        exposed("a", "A", stamp(1)),
        exposed("b", "B", stamp(1)),
        exposed("c", "A", stamp(1)),
        exposed("c", "B", stamp(2)),
        exposed("a", "A", stamp(0)) | {"event": "page_view"},
    ]
    write(tmp_path, "events", events)
    write(tmp_path, "orders", [order("b", stamp(1))], ("pay_ts",))
    units = unit_table(growth.open(tmp_path), experiment(GMV), as_of=stamp(9))
    assert by_unit(units, "variant") == {"a": "A", "b": "B"}
    assert by_unit(units, "exposure_ts")["a"] == stamp(1)
    assert units.crossovers == 1


def test_exposures_without_unit_are_counted_and_refused_above_1_percent(tmp_path):
    def table(lost):
        events = [exposed(f"u{i}", "AB"[i % 2], stamp(1)) for i in range(200)]
        events += [exposed(None, "A", stamp(1)) for _ in range(lost)]
        write(tmp_path, "events", events)
        write(tmp_path, "orders", [order("b", stamp(1))], ("pay_ts",))
        return unit_table(growth.open(tmp_path), experiment(GMV), as_of=stamp(9))

    units = table(2)
    assert units.units == 200
    assert units.notices == (Notice("null_exposures", args=(("rows", 2),)),)
    with pytest.raises(DataError, match="3 of 203 exposures lack unit or variant"):
        table(3)


def test_filters_events_distinct_values_and_unknown(tmp_path):
    events = [
        {"user_id": u, "ts": stamp(2), "event": e, "page_path": p}
        for u, e, p in [
            ("a", "tap", "home"),
            ("a", "tap", "home"),
            ("a", "tap", "cart"),
            ("a", "scroll", "list"),
            ("b", "tap", None),
        ]
    ]
    seen = {"table": "events", "event": "tap"}
    exp = experiment(
        metric("taps", value={**seen, "agg": "count"}),
        metric("pages", value={**seen, "agg": "distinct", "column": "page_path"}),
        metric(
            "home",
            kind="proportion",
            value={**seen, "agg": "any", "where": [{"col": "page_path", "eq": "home"}]},
        ),
        metric("known", value={**seen, "agg": "count"}, missing="unknown"),
        metric(
            "per_page",
            kind="ratio",
            numerator={**seen, "agg": "count"},
            denominator={**seen, "agg": "distinct", "column": "page_path"},
        ),
    )
    exposures = [assigned(u, v, stamp(1)) for u, v in zip("abc", "ABA", strict=True)]
    units = built(tmp_path, exposures, [order("z", stamp(1))], exp, events=events)
    assert by_unit(units, "taps") == {"a": 3, "b": 1, "c": 0}
    assert by_unit(units, "pages") == {"a": 2, "b": 0, "c": 0}
    assert by_unit(units, "home") == {"a": 1, "b": 0, "c": 0}
    assert by_unit(units, "known") == {"a": 3, "b": 1, "c": None}
    assert by_unit(units, "per_page_numerator") == {"a": 3, "b": 1, "c": 0}
    assert by_unit(units, "per_page_denominator") == {"a": 2, "b": 0, "c": 0}


def test_breakdowns_are_what_was_known_at_exposure(tmp_path):
    def event(user, at, platform, group=None):
        return {
            "user_id": user,
            "ts": at,
            "event": "app_show",
            "platform": platform,
            "entry_group": group,
        }

    events = [
        event("a", stamp(0), "ios", "search"),
        event("a", stamp(1), "android"),  # at the exposure; its group is not known
        event("a", stamp(2), "ohos", "ads"),  # after
        event("b", stamp(2), "ios", "ads"),
        event("c", stamp(1) - 31 * DAY, "ios", "ads"),  # too long ago
    ]
    members = [
        {"user_id": "a", "as_of_ds": date(2026, 1, 30), "region": "44"},
        {"user_id": "a", "as_of_ds": date(2026, 2, 1), "region": "31"},
        {"user_id": "a", "as_of_ds": date(2026, 2, 2), "region": "11"},  # that very day
    ]
    write(tmp_path, "members", members)
    exposures = [assigned(u, v, stamp(1)) for u, v in zip("abc", "ABA", strict=True)]
    exp = experiment(GMV, by=["platform", ["entry_group", "region"]])
    units = built(tmp_path, exposures, [order("z", stamp(1))], exp, events=events)
    assert by_unit(units, "platform") == {"a": "android", "b": None, "c": None}
    assert by_unit(units, "entry_group") == {"a": "search", "b": None, "c": None}
    assert by_unit(units, "region") == {"a": "31", "b": None, "c": None}
    with pytest.raises(ColumnNotFoundError, match="'age_band' not found"):
        built(tmp_path, exposures, [order("z", stamp(1))], exp, by=["age_band"])


def test_breakdowns_that_tie_hang_on_no_order_of_rows(tmp_path):
    """Two events of one instant, two snapshots of one day."""
    seen = [("a", "ios"), ("a", "android"), ("b", "mac"), ("b", None), ("b", "web")]
    events = [
        {"user_id": u, "ts": stamp(1), "event": "app_show", "platform": platform}
        for u, platform in seen
    ]
    members = [
        {"user_id": "a", "as_of_ds": date(2026, 2, 1), "region": region}
        for region in ("44", "31")
    ]
    exposures = [assigned(u, v, stamp(1)) for u, v in zip("ab", "AB", strict=True)]
    exp = experiment(GMV, by=["platform", "region"])
    for way in (1, -1):
        write(tmp_path, "members", members[::way])
        units = built(
            tmp_path, exposures, [order("z", stamp(1))], exp, events=events[::way]
        )
        assert by_unit(units, "platform") == {"a": "android", "b": "mac"}
        assert by_unit(units, "region") == {"a": "31", "b": None}


def test_a_table_is_read_for_the_day_it_was_built_for(tmp_path):
    exposures = [assigned(u, v, stamp(1)) for u, v in zip("abcd", "ABAB", strict=True)]
    orders = [order(u, stamp(1)) for u in "ab"]
    exp = experiment(GMV)
    units = built(tmp_path, exposures, orders, exp, as_of=date(2026, 3, 1))
    whole = analyze(units, exp)
    assert analyze(units, exp, as_of=date(2026, 3, 1)).rows() == whole.rows()
    with pytest.raises(ParameterError, match="build the table with that as_of") as info:
        analyze(units, exp, as_of=date(2026, 2, 1))
    assert info.value.code == "bad_as_of"


def test_against_plain_python_over_random_rows(tmp_path):
    rng = default_rng(5)
    exposures, orders, want = [], [], {}
    for i in range(120):
        user, at = f"u{i}", stamp(float(rng.integers(0, 80)) / 4)
        exposures.append(assigned(user, "AB"[i % 2], at))
        paid = [at + timedelta(hours=6 * int(h)) for h in rng.integers(-160, 160, 6)]
        fen = rng.integers(1, 1000, 6).tolist()
        orders += [
            order(user, t, f, f"{user}-{k}")
            for k, (t, f) in enumerate(zip(paid, fen, strict=True))
        ]
        now = stamp(20)
        pairs = list(zip(paid, fen, strict=True))
        want[user] = (
            sum(f for t, f in pairs if at <= t < min(at + 7 * DAY, now))
            if at + 7 * DAY <= now
            else None,
            sum(1 for t, _ in pairs if at <= t < now),
            sum(f for t, f in pairs if at - 14 * DAY <= t < at),
        )
    exp = experiment(
        {**GMV, "window_days": 7, "covariates": ["pre"]},
        metric("orders", value={"table": "orders", "agg": "count"}),
        covariate=[{"name": "pre", "value": GMV["value"], "days": 14}],
    )
    units = built(tmp_path, exposures, orders, exp, as_of=stamp(20))
    rows = units.table.to_pyarrow().to_pylist()
    got = {r["unit_id"]: (r["gmv"], r["orders"], r["pre"]) for r in rows}
    assert got == {user: value for user, value in want.items() if user in got}
    late = {u["unit_id"] for u in exposures if u["ts"] >= stamp(20)}
    assert got.keys() == want.keys() - late
    assert units.immature["gmv"] == sum(value[0] is None for value in got.values())
    kept = units.cache()
    for one, two in zip(
        analyze(kept, exp).effects, analyze(units, exp).effects, strict=True
    ):
        assert one.p_value == pytest.approx(two.p_value, rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("keys", "error", "code", "message"),
    [
        ({"id": "ee"}, DataError, "no_units", r"'ee'.*\['e'\].*Did you mean 'e'"),
        ({"arms": {"A": 1, "C": 1}}, DataError, "unknown_arm", "the arm 'B'"),
        ({"start": "2027-01-01"}, DataError, "no_units", "no unit is left"),
        ({"unit": "cluster"}, ParameterError, "not_available_yet", "ready table"),
    ],
)
def test_faults(tmp_path, keys, error, code, message):
    exposures = [assigned(u, v, stamp(1)) for u, v in zip("abc", "ABA", strict=True)]
    if keys.get("id"):
        message = "nobody was exposed to experiment 'ee'.*'e'"
    with pytest.raises(error, match=message) as info:
        built(tmp_path, exposures, [order("a", stamp(1))], experiment(GMV, **keys))
    assert info.value.code == code


def test_a_ready_column_cannot_be_built(tmp_path):
    exposures = [assigned("a", "A", stamp(1))]
    exp = experiment(metric("m", value={"column": "x"}))
    with pytest.raises(ParameterError, match="must name a table") as info:
        built(tmp_path, exposures, [order("a", stamp(1))], exp)
    assert info.value.code == "metric_not_built"


def test_a_column_the_tables_lack_is_named(tmp_path):
    exposures = [assigned("a", "A", stamp(1))]
    value = {"table": "orders", "agg": "sum", "column": "refund_fen"}
    with pytest.raises(ColumnNotFoundError, match="'refund_fen' not found"):
        built(
            tmp_path,
            exposures,
            [order("a", stamp(1))],
            experiment(metric("m", value=value)),
        )


# -- the sample merchant ------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    from growth import synth

    folder = tmp_path_factory.mktemp("sample")
    synth.sample(folder, users=6000)
    return folder


def read(folder, name):
    import json

    exp = load_experiment(folder / "experiments" / f"{name}.toml")
    units = unit_table(growth.open(folder), exp, as_of=date(2026, 2, 28)).cache()
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    return exp, units, truth["experiments"][name]


def test_the_planted_effect_lies_in_its_interval(sample):
    exp, units, truth = read(sample, "home_layout")
    check, analysis = check_split(units), analyze(units, exp)
    assert check.verdict == "abtest.split.ok"
    assert analysis.mature_units == truth["mature_units"]
    assert analysis.days == 28
    seen = {e.metric: e for e in analysis.totals()}
    for name, effect in truth["effect"].items():
        e = seen[name]
        assert abs(e.estimate - effect) < 4 * e.se, name
    assert seen["pay_rate"].method == "lin_hc2"
    assert {e.by[0][0] for e in analysis.segments()} == {"platform"}
    assert trend(units, exp).points
    assert "days_unknown" not in codes(analysis)


def test_the_sound_aa_shows_nothing_and_the_broken_split_is_invalid(sample):
    exp, units, _ = read(sample, "aa_check")
    sound = decide(analyze(units, exp), check_split(units))
    assert sound.outcome in {"keep", "iterate"}
    exp, units, _ = read(sample, "broken_split")
    broken = decide(analyze(units, exp), check_split(units))
    assert [str(r) for r in broken.reasons] == ["srm_failed"]
