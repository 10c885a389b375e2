"""The engines, their identities, and what may not change a bit of a result."""

import dataclasses
import json
from datetime import date, timedelta

import numpy as np
import pytest

from growth import synth
from growth.errors import DataError, ParameterError
from growth.tiers import (
    NO_RESPONSE,
    Calendar,
    Habits,
    Ledger,
    Population,
    Response,
    compare,
    fit,
    load_programme,
    rules,
    running,
    search,
    simulate,
)
from growth.tiers.comparison import record_of
from growth.tiers.designing import Against
from growth.tiers.generators import NOTHING, Drawn, LastWindowRepeats, Replay
from growth.tiers.histories import bootstrap, purchase_days
from growth.tiers.intervals import scaled_span
from growth.tiers.population import Past
from growth.tiers.running import (
    FIELDS,
    Run,
    broken,
    run_one,
    run_totals,
    workspace,
)
from tests.tiers import golden, made

AS_OF = date(2025, 12, 31)
DAY = (AS_OF - date(1970, 1, 1)).days
SENTINEL = -77  # what nothing counts to
BUYING, SPENDING = (0.8, 60.0, 0.8, 2.5), (6.0, 4.0, 40_000.0)
HABITS = Habits(logins_per_day=0.05, review_rate=0.2, refund_rate=0.1)
ASSUMED = {"margin_rate": 0.3, "redemption": 0.3, "seed": 7}
PROGRAMME = load_programme(
    {
        "tiers": [
            t | {"perk_fen_per_month": 100 * i} for i, t in enumerate(made.TIERS)
        ],
        "points": {
            "pending_days": 7,
            "redeem": {"block": 100, "value_fen": 100},
            "caps": {"all": {"per_month": 3000}},
        },
    }
)  # fmt: skip


def people(members=400, **over):
    given = {"buying": BUYING, "spending": SPENDING, "as_of": AS_OF, "seed": 3}
    return Population.from_priors(members, **given | {"habits": HABITS} | over)


def sums(simulation, scenario=0):
    return simulation.scenarios[scenario].totals.sums


@pytest.fixture(scope="module")
def once():
    return simulate(people(), PROGRAMME, replications=2, **ASSUMED)


@pytest.fixture(scope="module")
def fitted():
    """Members with a past, whose best forecast is not looked for."""
    orders = synth.orders(seed=3, customers=300, days=365).data
    return fit(orders, as_of=date(2026, 2, 28), seed=1, replications=2, step_days=60)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("chunk", [33, 400])
def test_threads_and_chunks_change_nothing(once, threads, chunk):
    again = simulate(
        people(), PROGRAMME, replications=2, threads=threads, chunk=chunk, **ASSUMED
    )
    assert (sums(again) == sums(once)).all()
    assert again.rows() == once.rows()


def test_a_members_fate_does_not_depend_on_who_else_is_there(once):
    few = people(400)
    drawn = few.pick().draw(100, 200, start=0, end=0, seed=7, replication=0, fixed=True)
    how = Run(few.start, few.start + 365, 7, NO_RESPONSE, 0.3)
    part, _ = run_one(few, PROGRAMME, how, 0, (100, 200), drawn)
    whole = run_totals(
        few, {"p": PROGRAMME}, how._replace(chunk=100), replications=range(1)
    )["p"]
    assert 0 < part.sum() < whole.sums.sum()
    assert (sums(once)[0] == whole.sums[0]).all()


def recorded(population, programme, engine="event", seed=7):
    """Run once and return the sums and the tape of events."""
    how = Run(population.start, population.start + 400, seed, NO_RESPONSE, 0.3,
              engine=engine, check_lots=True)  # fmt: skip
    span = (0, population.members)
    drawn = population.pick().draw(
        *span, start=how.start, end=how.end, seed=seed, replication=0, fixed=True
    )
    tape = np.zeros((200_000, 5), np.int64)
    total, _ = run_one(population, programme, how, 0, span, drawn, written=tape)
    return total, tape[tape[:, 1] > 0], how


def as_drawn(tape, members):
    rows = tape[:, [1, 2, 3, 4]].copy()
    at = np.zeros(members + 1, np.int64)
    np.cumsum(np.bincount(tape[:, 0], minlength=members), out=at[1:])
    return Drawn(
        NOTHING, NOTHING, NOTHING, np.zeros(3), rows, at, draws=False, recorded=True
    )


@pytest.mark.parametrize("seed", range(1, 17))
def test_on_one_tape_the_engines_agree_to_the_integer(seed):
    import random

    programme = load_programme(made.declaration(random.Random(seed)))
    population = people(150)
    drawn_sums, tape, how = recorded(population, programme, seed=seed)
    given = as_drawn(tape, 150)
    quiet = dataclasses.replace(population, habits=Habits())
    taped = [
        run_one(quiet, programme, how._replace(engine=e), 0, (0, 150), given)[0]
        for e in ("event", "daily")
    ]
    assert (taped[0] == taped[1]).all()
    money = {"gross_fen", "discount_fen", "list_back_fen", "discount_back_fen"}
    rest = [i for i, name in enumerate(FIELDS) if name not in money]
    assert (taped[0][..., rest] == drawn_sums[..., rest]).all()  # identity 9


def test_the_ledger_gives_the_simulations_totals_from_its_tape():
    """Identity 9, through the Python ledger of services."""
    population = people(40)
    total, tape, how = recorded(population, PROGRAMME)
    names = ("login", "purchase", "redeem", "review", "offline_visit", "refund")
    flowing = ("issued", "redeemed", "expired", "clawed", "capped")
    held = ("active", "pending", "debt")
    seen = dict.fromkeys((*flowing, *held), 0)
    tiers = [0, 0, 0]
    last = (date(1970, 1, 1) + timedelta(days=how.end - 1)).isoformat()
    for member in range(40):
        ledger = Ledger(PROGRAMME, joined=AS_OF)
        for n, (_, day, kind, value, ref) in enumerate(tape[tape[:, 0] == member]):
            when = (date(1970, 1, 1) + timedelta(days=int(day))).isoformat()
            event = {"ts": when, "kind": names[kind]}
            if kind == 1:
                event |= {"order_id": f"o{ref}", "paid_fen": int(value)}
            elif kind == 5:
                event |= {"order_id": f"o{ref}", "amount_fen": int(value)}
                event["refund_id"] = str(n)
            elif kind == 2:
                event["points"] = int(value)
            ledger.append(event)
        ledger.append({"ts": last, "kind": "close"})
        counters = ledger.state.counters()
        for name in seen:
            seen[name] += counters[name]
        tiers[ledger.state.tier] += 1
    flows = total.sum(axis=(0, 1, 2))
    for name in flowing:
        assert flows[FIELDS.index(name)] == seen[name], name
    end = total[0, -1]
    for name in held:
        assert end[:, FIELDS.index(name)].sum() == seen[name], name
    assert end[:, FIELDS.index("members")].tolist() == tiers
    assert min(seen[name] for name in ("redeemed", "clawed", "capped", "active")) > 0


def test_the_engines_agree_within_chance_when_each_draws_its_own():
    population = people(1500)
    event, daily = (
        simulate(population, PROGRAMME, replications=6, months=6, engine=e, **ASSUMED)
        for e in ("event", "daily")
    )
    for metric in ("orders", "gross_fen", "issued", "members_above_first"):
        a, b = (s.scenarios[0].metric(metric) for s in (event, daily))
        room = 4 * np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 6)
        assert abs(a.mean() - b.mean()) < room, metric


def test_equal_programmes_differ_by_exactly_nothing():
    found = compare(
        people(200),
        {"now": PROGRAMME, "same": PROGRAMME},
        replications=3, response=Response(beta=[(0, 0), (0.1, 0.05)], gamma=(0.3, 0.1)),
        **ASSUMED,
    )  # fmt: skip
    assert {d.difference for d in found.differences} == {0.0}
    assert {d.mc_param for d in found.differences} == {(0.0, 0.0)}
    assert found.verdict == "tiers.comparison.same"


def test_without_a_response_orders_are_the_same_under_any_programme():
    other = PROGRAMME.change({"tiers.1.min_spend_fen": 20_000, "points.login": 5})
    found = compare(
        people(200), {"a": PROGRAMME, "b": other}, replications=2, **ASSUMED
    )
    moved = {d.metric: d.difference for d in found.differences}
    assert moved["orders"] == moved["gross_fen"] == 0
    assert moved["issued"] > 0
    assert "no_behavioural_effect" in {n.code for n in found.notices}
    assert "not_calibrated" in {n.code for n in found.notices}


@pytest.mark.parametrize("down", ["never", "to_qualified"])
def test_raising_a_threshold_never_raises_who_is_above_it(down):
    plain = load_programme(
        {
            "tiers": [t | {"discount_rate": "0"} for t in made.TIERS],
            "qualify": {"downgrade": down, "window": {"months": 3}},
        }
    )
    higher = plain.change({"tiers.1.min_spend_fen": 90_000})
    found = compare(people(300), {"a": plain, "b": higher}, replications=2, **ASSUMED)
    above = [
        s.totals.of("members")[..., 1:].sum(axis=-1) for s in found.simulation.scenarios
    ]
    assert (above[1] <= above[0]).all()
    assert (above[1] < above[0]).any()


def test_swapping_channels_swaps_their_rows_and_nothing_else():
    half = np.arange(200, dtype=np.int16) % 2
    base = people(200)
    ways = [
        simulate(
            dataclasses.replace(base, channel=c, channels=("online", "offline")),
            PROGRAMME, replications=1, by_channel=True, **ASSUMED,
        )
        for c in (half, 1 - half)
    ]  # fmt: skip
    one, two = (sums(w)[0] for w in ways)
    assert (one == two[::-1]).all()
    assert (one[0] != one[1]).any()
    assert {row["channel"] for row in ways[0].rows()} == {"online", "offline"}


def test_identities_are_found_broken_where_they_are(once):
    totals = once.scenarios[0].totals
    assert broken(totals) == []
    spoilt = {"members": "moves in", "issued": "flows", "points_errors": "issued"}
    for field, words in spoilt.items():
        spoiled = totals._replace(sums=totals.sums.copy())
        spoiled.sums[0, 0, 3, 0, FIELDS.index(field)] += 1
        assert any(words in name for name in broken(spoiled)), field


def test_the_long_table_adds_up(once):
    rows = once.rows()
    assert len(rows) == 2 * 12 * 3
    for row in rows:
        kept = row["gross_fen"] - row["discount_fen"]
        assert row["net_fen"] == kept - row["refund_fen"]
    assert sum(r["members"] for r in rows if r["month"] == "2026-12") == 800
    told = json.loads(json.dumps(once.to_dict(), allow_nan=False))
    assert told["margin_rate"] == 0.3
    assert len(once.estimates()) == 9
    assert "0.3" in once.to_html("en")


def chain(downgrade, years=8):
    """Simulate members whose yearly spend is Gamma(.6, 1500 yuan)."""
    given, expected = golden.given(f"tier_chain_{downgrade}")
    members = 120_000
    rng = np.random.default_rng(1)
    cuts = [0, *(1e2 * t for t in given["thresholds_yuan"])]
    programme = load_programme(
        {
            "tiers": [{"min_spend_fen": int(c)} for c in cuts],
            "qualify": {
                "window": {"kind": "calendar", "months": 12},
                "upgrade": "at_review",
                "downgrade": downgrade,
            },
        }
    )
    first = (date(2020, 6, 1) - date(1970, 1, 1)).days
    spent = rng.gamma(given["shape"], given["scale_yuan"] * 100, (members, years))
    rows = np.full((members * years, 4), -1, np.int64)
    rows[:, 0] = np.tile(first + 365 * np.arange(years), members)
    rows[:, 1], rows[:, 2] = 1, np.maximum(1, spent.reshape(-1).round())
    from growth.tiers import kernels

    ends = np.zeros((members, rules.SCALARS), np.int64)
    wrong = kernels.replay(
        np.array(programme.compiled), workspace(12, 12, 2 * years),
        np.full(members, first, np.int32), rows,
        np.arange(members + 1) * years, first + 365 * years - 100, ends,
        np.zeros(len(rows), np.int8),
    )  # fmt: skip
    assert not wrong
    return np.bincount(ends[:, rules.TIER], minlength=4) / members, expected["share"]


@pytest.mark.parametrize("downgrade", ["to_qualified", "one_down"])
def test_tiers_settle_where_the_markov_chain_says(downgrade):
    got, share = chain(downgrade)
    assert got == pytest.approx(share, abs=0.006)  # 4 standard errors


def test_the_closed_form_of_the_chain():
    from scipy.special import gammaincc

    given, expected = golden.given("tier_chain_qualify")
    cuts = np.array(given["thresholds_yuan"]) / given["scale_yuan"]
    above = gammaincc(given["shape"], cuts)
    share = -np.diff([1, *above, 0])
    assert share == pytest.approx(expected["share"], abs=1e-7)
    step = np.zeros((4, 4))
    for tier in range(4):
        for reached, p in enumerate(share):
            step[tier, max(reached, tier - 1)] += p
    values, vectors = np.linalg.eig(step.T)
    stationary = np.real(vectors[:, np.argmax(np.real(values))])
    assert stationary / stationary.sum() == pytest.approx(
        golden.given("tier_chain_one_down")[1]["share"], abs=1e-6
    )


def test_members_with_a_past_start_where_it_left_them():
    """The opening tier and points are those of the ledger on the last day known."""
    day = (AS_OF - date(1970, 1, 1)).days
    past = Past(
        np.array([0, 2, 3]), np.array([day - 200, day - 3, day - 10], np.int32),
        np.array([60_000, 10_000, 300_000]),
    )  # fmt: skip
    generator = people(2).pick()
    population = dataclasses.replace(
        people(2, habits=Habits()), past=past, generators=(generator,),
        joined=np.array([day - 200, day - 10], np.int32),
    )  # fmt: skip
    how = Run(day + 1, day + 2, 1, NO_RESPONSE, 0.0)
    ends = np.zeros((2, rules.SCALARS), np.int64)
    drawn = as_drawn(np.zeros((0, 5), np.int64), 2)
    history = ([(-200, 60_000), (-3, 10_000)], [(-10, 300_000)])
    places = {"tier": rules.TIER, "active": rules.ACTIVE,
              "pending": rules.PENDING, "debt": rules.DEBT}  # fmt: skip
    for programme in (PROGRAMME, load_programme({"tiers": made.TIERS})):
        run_one(population, programme, how, 0, (0, 2), drawn, ends=ends)
        for member, orders in enumerate(history):
            ledger = Ledger(programme, joined=AS_OF + timedelta(days=orders[0][0]))
            for i, (ago, fen) in enumerate(orders):
                event = {"ts": AS_OF + timedelta(days=ago), "kind": "purchase"}
                ledger.append(event | {"order_id": str(i), "paid_fen": fen})
            ledger.append({"ts": AS_OF + timedelta(days=1), "kind": "close"})
            for name, place in places.items():
                assert ends[member, place] == getattr(ledger.state, name), name
    # an edited programme judges the whole past; points stay as they were issued
    edited = PROGRAMME.change({"tiers.1.min_spend_fen": 80_000, "points.per_yuan": "5"})
    run_one(population, edited, how, 0, (0, 2), drawn, PROGRAMME, ends=ends)
    assert ends[:, rules.TIER].tolist() == [0, 2]
    before = ends[:, rules.ACTIVE].copy()
    run_one(population, PROGRAMME, how, 0, (0, 2), drawn, ends=ends)
    assert (ends[:, rules.ACTIVE] == before).all()


def test_newcomers_join_on_their_day_and_order():
    base = people(50, habits=Habits())
    later = base.with_arrivals([date(2026, 3, 5)] * 20, channel=["ads"] * 20)
    found = simulate(later, PROGRAMME, replications=1, **ASSUMED)
    table = found.scenarios[0].table()
    assert table["joined"].sum() == 20
    assert table["members"][0, :, 1].sum() == 50
    assert table["members"][0, :, 2].sum() == 70
    assert table["orders"][0, 1].sum() >= 20
    with pytest.raises(ParameterError, match="must come after") as info:
        base.with_arrivals([date(2025, 1, 1)])
    assert info.value.code == "arrival_in_the_past"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"months": 0}, "bad_months", "1 to 60"),
        ({"margin_rate": 30}, "bad_margin_rate", "Write 30 % as 0.3"),
        ({"redemption": -1}, "bad_redemption", "a share"),
        ({"engine": "dialy"}, "bad_engine", "Did you mean 'daily'"),
        ({"generator": "x"}, "unknown_generator", "or 'auto'"),
        ({"replications": 0}, "bad_replications", "1 or more"),
        ({"chunk": 0}, "bad_chunk", "1 or more"),
        ({"start": date(2020, 1, 1)}, "bad_start", "2020-01-01"),
        ({"seed": -1}, "bad_seed", "seed is -1"),
        ({"seed": "x"}, "bad_seed", "0 or more"),
        ({"margin_rate": None}, "bad_margin_rate", "margin_rate is None"),
        ({"threads": 0}, "bad_threads", "1 or more"),
        ({"start": "2026-01-01"}, "bad_start", "start is '2026-01-01'; it must be a d"),
        ({"response": 0.1}, "bad_response", "0.1; it must be a Response"),
        ({"connection": "x"}, "bad_connection", "'x'; it must be a Spark connection"),
        ({"response": Response(beta=[(0, 0), (1, 0)])}, "bad_cap", "must be 2.718 or"),
        (
            {"response": Response(beta=[(0.6, 0.1)])},
            "bad_cap",
            "cap is 2.0; it must be 2.226",
        ),
    ],
)
def test_arguments_are_checked(change, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        simulate(people(5), PROGRAMME, **ASSUMED | change)
    assert info.value.code == code


def test_other_errors_say_what_was_seen():
    with pytest.raises(ParameterError, match="two names or more") as info:
        compare(people(5), {"a": PROGRAMME}, **ASSUMED)
    assert info.value.code == "too_few_programmes"
    for bad in ({"gamma": (0.1, -1)}, {"delta": 0}):
        with pytest.raises(ParameterError, match="the response") as info:
            Response(**bad)
        assert info.value.code == "bad_response"
    with pytest.raises(ParameterError, match="the population") as info:
        people(0)
    assert info.value.code == "bad_population"
    with pytest.raises(ParameterError, match=r"5 fault\(s\)") as info:
        Population.from_priors("10", buying=(1, 2, 3), spending=(1, 2, 3), as_of="x",
                               seed=-1, cap="x")  # fmt: skip
    assert info.value.code == "bad_population"
    for who in ("x", None):
        with pytest.raises(ParameterError, match="make it with fit or") as info:
            simulate(who, PROGRAMME, **ASSUMED)
        assert info.value.code == "bad_population"
    found = simulate(people(5), PROGRAMME, replications=1, **ASSUMED)
    with pytest.raises(ParameterError, match="Did you mean 'net_fen'") as info:
        found.monthly("net")
    assert info.value.code == "unknown_column"
    assert issubclass(DataError, ValueError)


@pytest.mark.parametrize(
    "given",
    [{"refund_rate": 3}, {"review_rate": -0.1}, {"logins_per_day": "often"},
     {"refund_days": 0}, {"refund_rate": np.array([0.1, np.nan])}],
)  # fmt: skip
def test_habits_nobody_can_have_are_refused(given):
    (name,) = given
    with pytest.raises(
        ParameterError, match=f"the habits: 1 fault.*\n.*{name}"
    ) as info:
        Habits(**given)
    assert info.value.code == "bad_habits"


def test_a_calendar_makes_room_for_its_widest_day():
    """What draws are made for covers 11.11, so that no order of it is lost."""
    feast = Calendar(days={"2026-03-02": 12.0}, weekday=(1.5,) + (1.0,) * 6)
    assert feast.widest == 18.0  # a Monday
    wide = people(400, habits=Habits(), calendar=feast)
    assert wide.cap == 36.0
    runs = [
        simulate(wide, PROGRAMME, engine=engine, replications=12, **ASSUMED)
        .scenarios[0].metric("orders") for engine in ("event", "daily")
    ]  # fmt: skip
    mean, se = [r.mean() for r in runs], [r.std(ddof=1) / 12**0.5 for r in runs]
    assert abs(mean[0] - mean[1]) < 4 * (se[0] ** 2 + se[1] ** 2) ** 0.5
    plain = simulate(
        people(400, habits=Habits()), PROGRAMME, replications=12, **ASSUMED
    )
    assert mean[0] > 1.04 * plain.scenarios[0].metric("orders").mean()
    with pytest.raises(ParameterError, match=r"cap is 2\.0; it must be 18 or"):
        simulate(dataclasses.replace(wide, cap=2.0), PROGRAMME, **ASSUMED)


def test_a_member_takes_few_bytes():
    assert people(1000, habits=Habits()).nbytes / 1000 <= 32


def test_several_faults_come_at_once_and_a_dict_is_no_programme():
    with pytest.raises(ParameterError, match=r"3 fault\(s\)"):
        simulate(people(5), PROGRAMME, **ASSUMED | {"seed": -1, "months": 61,
                                                    "redemption": 2})  # fmt: skip
    for call in (
        lambda: simulate(people(5), {"tiers": []}, **ASSUMED),
        lambda: compare(people(5), {"a": PROGRAMME, "b": None}, **ASSUMED),
    ):
        with pytest.raises(ParameterError, match="read it with load_prog") as info:
            call()
        assert info.value.code == "bad_programme"
    with pytest.raises(ParameterError, match="it must map two names") as info:
        compare(people(5), PROGRAMME, **ASSUMED)
    assert info.value.code == "too_few_programmes"


def test_a_comparison_is_read_in_chinese():
    found = compare(people(50), {"a": PROGRAMME, "b": PROGRAMME}, replications=2,
                    months=1, **ASSUMED)  # fmt: skip
    page = found.to_html("zh")
    assert "净收入" in page
    assert "net_fen" not in page


def roomy(monkeypatch):
    """Give runs arrays longer than they know; return the parts past their room."""
    made, spare = [], 40_000

    def longer(*sizes):
        parts = []
        for part in workspace(*sizes):
            whole = np.full(part.size + spare, SENTINEL, np.int64)
            whole[: part.size] = 0
            made.append(whole[part.size :])
            parts.append(whole[: part.size])
        return tuple(parts)

    monkeypatch.setattr(running, "workspace", longer)
    return made


TAPED = {
    "repeat": lambda past: LastWindowRepeats(past=past, as_of=DAY),
    "bootstrap": lambda past: bootstrap(
        purchase_days(
            np.repeat(np.arange(past.at.size - 1), np.diff(past.at)), past.day,
            past.value, past.at.size - 1,
        ), DAY, 84,
    ),
    "replay": lambda past: Replay(
        future=past._replace(day=past.day + np.int32(DAY - past.day.min() + 1))
    ),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["event", "daily"])
@pytest.mark.parametrize("rounding", ["none", "month_end", "quarter_end"])
@pytest.mark.parametrize("name", TAPED)
def test_no_run_writes_past_the_room_it_was_given(monkeypatch, name, rounding, engine):
    """Logins and reviews make lots where orders are taped, for as long as it runs."""
    members, orders = 60, 6
    rng = np.random.default_rng(0)
    past = Past(
        np.arange(members + 1) * orders,
        np.sort(DAY - rng.integers(0, 270, (members, orders)), axis=1).reshape(-1)
        .astype(np.int32),
        rng.integers(1000, 20_000, members * orders),
    )  # fmt: skip
    who = dataclasses.replace(
        people(members, habits=Habits(logins_per_day=2.0, review_rate=1.0,
                                      refund_rate=0.3, refund_days=60)),
        past=past, joined=past.day[past.at[:-1]], generator=name,
        generators=(TAPED[name](past),),
    )  # fmt: skip
    programme = load_programme(
        {
            "tiers": made.TIERS,
            "points": {"validity": {"months": 60, "round": rounding}},
        }
    )
    beyond = roomy(monkeypatch)
    for months in (12, 24, 60):
        found = simulate(who, programme, months=months, replications=1, engine=engine,
                         threads=1, **ASSUMED)  # fmt: skip
        assert found.scenarios[0].metric("issued") > 0
        assert all((part == SENTINEL).all() for part in beyond)


def test_every_seed_has_chances_of_its_own_up_to_2_to_the_64(fitted):
    """Arithmetic is modulo 2**64 everywhere: 0 and 2**64 are one, 2**63 is another."""
    response = Response(beta=[(0, 0), (0.1, 0.05)])
    given = ASSUMED | {"months": 2, "replications": 2, "response": response}
    for who in (people(200), fitted):
        spent = {
            seed: simulate(who, PROGRAMME, generator="bgnbd", **given | {"seed": seed})
            for seed in (0, 2**63 - 1, 2**63, 2**64 - 1, 2**64)
        }
        found = {seed: sums(one).tobytes() for seed, one in spent.items()}
        assert found[0] == found[2**64]
        assert len(set(found.values())) == 4
        assert spent[2**64].seed == 2**64  # as it was asked for


def test_members_drawn_from_priors_take_any_seed_too():
    rates = [people(50, seed=s).pick().kept[0].tobytes() for s in (0, 2**63, 2**64)]
    assert rates[0] == rates[2] != rates[1]


KEEN = Response(beta=[(0, 0), (0.3, 0.05), (0.5, 0.05)])
QUICK = ASSUMED | {"months": 3, "replications": 3}


def asks(who, **over):
    """Every verb that simulates, asked the same."""
    given = QUICK | {"response": KEEN} | over
    both = {"now": PROGRAMME, "new": PROGRAMME.change({"points.login": 5})}
    grid = {"points.login": [5]}
    yield lambda: simulate(who, PROGRAMME, **given)
    yield lambda: compare(who, both, **given)
    yield lambda: search(who, PROGRAMME, grid=grid, **given)
    yield lambda: Against(who, PROGRAMME, **given).compare(both["new"]).simulation


@pytest.mark.parametrize("name", ["bootstrap", "repeat"])
def test_orders_already_made_cannot_answer_to_a_response(fitted, name):
    for ask in asks(fitted, generator=name):
        with pytest.raises(
            ParameterError, match=f"generator is '{name}', whose"
        ) as info:
            ask()
        assert info.value.code == "response_needs_rates"
        assert "pass generator='bgnbd', or NO_RESPONSE" in str(info.value)
    alone = dataclasses.replace(
        fitted, generators=(fitted.pick(name),), generator=name, back_tests=()
    )
    for ask in asks(alone):
        with pytest.raises(ParameterError, match=f"'auto' .'{name}'.") as info:
            ask()
        assert info.value.code == "response_needs_rates"
        assert "fit with generators=['bgnbd']" in str(info.value)


def test_with_a_response_the_best_generator_of_rates_is_taken_and_said(fitted):
    best = dataclasses.replace(fitted, generator="repeat")
    for ask, plain in zip(asks(best), asks(fitted, generator="bgnbd"), strict=True):
        told, quiet = ask(), plain()
        (said,) = [n for n in told.notices if n.code == "generator_of_rates"]
        assert said.args == (("best", "repeat"), ("used", "bgnbd"))
        assert said.severity == "warning"
        assert told.rows() == quiet.rows()
        assert "generator_of_rates" not in {n.code for n in quiet.notices}
    off = simulate(best, PROGRAMME, **QUICK)
    assert off.generator == "repeat"
    assert "generator_of_rates" not in {n.code for n in off.notices}
    on = simulate(best, PROGRAMME, response=KEEN, **QUICK)
    assert on.generator == "bgnbd"
    flat = simulate(fitted, PROGRAMME, generator="bgnbd", **QUICK)
    assert (on.scenarios[0].metric("orders") > flat.scenarios[0].metric("orders")).all()


def test_the_calibrated_interval_is_by_the_record_of_the_generator_used(fitted):
    best = dataclasses.replace(fitted, generator="repeat")
    found = compare(best, {"now": PROGRAMME, "new": PROGRAMME.change(
        {"tiers.1.min_spend_fen": 20_000})}, response=KEEN, **QUICK)  # fmt: skip
    record = record_of(fitted, "bgnbd")
    assert record is not None
    assert record != record_of(fitted, "repeat")
    for one in found.differences:
        assert one.calibrated == scaled_span(one.mc_param, record)


@pytest.mark.parametrize("name", ["bgnbd", "bootstrap", "repeat"])
def test_a_calendar_that_is_not_used_is_said_and_covers_no_season(fitted, name):
    quiet = Calendar(month=(0.2,) * 12)
    who = dataclasses.replace(fitted, calendar=quiet, seen_months=(1, 2))
    flat, with_it = (
        simulate(one, PROGRAMME, generator=name, **QUICK) for one in (fitted, who)
    )
    told = {n.code: n.args for n in with_it.notices}
    taped = name != "bgnbd"
    assert ((sums(flat) == sums(with_it)).all()) == taped
    assert ("calendar_not_used" in told) == ("season_not_covered" in told) == taped
    if taped:
        assert told["calendar_not_used"] == (("generator", name),)
        assert told["season_not_covered"] == (("months", "3, 4, 5"),)
        assert name in with_it.to_html("zh")


def test_one_replication_has_no_spread():
    one = simulate(people(50), PROGRAMME, months=1, replications=1, **ASSUMED)
    for estimate in one.estimates():
        assert estimate.value is not None
        assert estimate.lo is estimate.hi is None
    assert {row["lo"] for row in one.summary()} == {None}
    assert "one_replication" in {n.code for n in one.notices}
    json.dumps(one.to_dict(), allow_nan=False)
    two = simulate(people(50), PROGRAMME, months=1, replications=2, **ASSUMED)
    assert all(e.lo <= e.value <= e.hi for e in two.estimates())
    assert "one_replication" not in {n.code for n in two.notices}


def test_cash_taken_off_a_refund_stays_in_the_till():
    """Forgiving what was spent is dearer than deducting it, by what was deducted."""
    ways = {
        rule: PROGRAMME.change({"refund.shortfall": rule, "points.pending_days": 0})
        for rule in ("forgive", "deduct_cash")
    }
    who = people(habits=Habits(refund_rate=0.4))
    found = compare(who, ways, **ASSUMED | {"redemption": 1.0, "replications": 3})
    forgiven, deducted = (one.table() for one in found.simulation.scenarios)
    cash = found.simulation.scenarios[1].totals.of("cash_deducted_fen")
    assert cash.sum() > 0
    redeem = PROGRAMME.points.redeem
    owed = deducted["uncollected"] * redeem.value_fen // redeem.block
    assert (cash <= owed).all()  # each refund's is rounded down
    assert (forgiven["refund_fen"] - deducted["refund_fen"] == cash).all()
    assert (deducted["refund_fen"] >= 0).all()
    for name in ("net_fen", "margin_fen"):
        assert (deducted[name] - forgiven[name] == cash).all(), name
    for table in (forgiven, deducted):
        kept = table["gross_fen"] - table["discount_fen"]
        assert (table["net_fen"] == kept - table["refund_fen"]).all()
        for name in ("benefit_cost_fen", "liability_fen", "uncollected", "clawed"):
            assert (table[name] == forgiven[name]).all(), name
    rolled = [found.simulation.roll_forward(name) for name in ways]
    assert rolled[0].rows() == rolled[1].rows()
