"""What is planted in the sample comes back by plain counting."""

import numpy as np
import pandas as pd
import pytest

LOCAL = pd.Timedelta(hours=8)


def _close(seen, want, n, tolerance=4.0):
    return abs(seen - want) < tolerance * np.sqrt(want * (1 - want) / n)


def test_truth_says_what_each_key_means(middling):
    assert set(middling.truth["about"]) == set(middling.truth) - {"about"}
    assert all(len(words) > 5 for words in middling.truth["about"].values())


def test_tables_fit_the_canonical_schema(small):
    import pyarrow.parquet as pq

    from growth.dataset import SCHEMA
    from growth.dataset.schema import arrow_type

    for row in small.report.rows():
        name = row["table"]
        files = sorted((small.folder / name).rglob("*.parquet"))
        files = files or [small.folder / f"{name}.parquet"]
        columns = {column.name: column for column in SCHEMA[name].columns}
        for file in (files[0], files[-1]):
            seen = pq.read_schema(file)
            types = {f.name: f.type for f in seen}
            want = {c: arrow_type(columns[c].kind) for c in types}
            assert types == want, name
        rows = small.read(name)
        for column in columns.values():
            assert not column.required or column.name in rows or column.name == "ds"
            if column.name in rows and column.closed:
                assert set(rows[column.name].dropna()) <= set(column.closed)
            if column.name in rows and column.required and not column.nullable:
                assert rows[column.name].notna().all(), (name, column.name)


def test_assignments_are_the_first_exposures(middling):
    events, rows = middling.read("events"), middling.read("assignments")
    met = events[events["event"] == "exp_exposure"]
    met = met.sort_values("ts").drop_duplicates(["user_id", "exp_id"])
    both = rows.merge(
        met, left_on=["unit_id", "exp_id"], right_on=["user_id", "exp_id"]
    )
    assert len(both) == len(rows) == len(met)
    assert (both["variant_x"] == both["variant_y"]).all()
    assert (both["ts_x"] == both["ts_y"]).all()


def _units(sample, name, days=7):
    """Build the unit table of one experiment by hand: mature units, 7 days."""
    rows = sample.read("assignments").query(f"exp_id == {name!r}")
    end = pd.Timestamp(sample.truth["end"], tz="Asia/Shanghai")
    rows = rows[rows["ts"] + pd.Timedelta(days=days) <= end]
    orders = sample.read("orders")
    paid = orders[orders["pay_ts"].notna()]
    both = rows.merge(paid, left_on="unit_id", right_on="user_id", how="left")
    since = both["pay_ts"] - both["ts"]
    inside = since.between(pd.Timedelta(0), pd.Timedelta(days=days), inclusive="left")
    before = since.between(pd.Timedelta(days=-28), pd.Timedelta(0), inclusive="left")
    both["in_fen"] = both["paid_fen"].where(inside, 0)
    both["pre_fen"] = both["paid_fen"].where(before, 0)
    both["back"] = (both["refund_fen"] > 0) & inside
    both["one"] = inside
    table = both.groupby(["unit_id", "variant"], as_index=False).agg(
        revenue=("in_fen", "sum"),
        pre=("pre_fen", "sum"),
        orders=("one", "sum"),
        refunds=("back", "sum"),
    )
    return table.assign(pay_rate=(table["orders"] > 0).astype(float))


def test_home_layout_effect_is_recovered(middling):
    units = _units(middling, "home_layout")
    told = middling.truth["experiments"]["home_layout"]
    assert len(units) == told["mature_units"]
    arms = units.groupby("variant")[["pay_rate", "revenue"]]
    se = np.sqrt((arms.var() / arms.count()).sum())
    seen = arms.mean().loc["waterfall"] - arms.mean().loc["list"]
    for name in ("pay_rate", "revenue"):
        want = told["effect"][name]
        assert abs(seen[name] - want) < 4 * se[name]
        assert want / told["expected"][name]["list"] == pytest.approx(
            told["lift"][name]
        )
    assert seen["pay_rate"] > 2 * se["pay_rate"]
    assert told["lift"]["pay_rate"] > 0.15


def test_history_predicts_what_units_pay(middling):
    units = _units(middling, "home_layout")
    assert np.corrcoef(units["pre"], units["revenue"])[0, 1] > 0.15


def test_arms_follow_from_the_hash_and_split_evenly_but_for_the_broken_one(middling):
    from growth.synth.units import bucket

    rows = middling.read("assignments")
    for name, told in middling.truth["experiments"].items():
        mine = rows[rows["exp_id"] == name]
        ids = mine["unit_id"].to_numpy().astype("S32")
        place = bucket(ids, layer=told["layer"], salt=told["salt"])
        first = mine["variant"].isin(["list", "a", "old"]).to_numpy()
        assert ((place < 0.5) == first).all()
        chi2 = (first.sum() - (~first).sum()) ** 2 / len(first)
        if name == "broken_split":
            assert chi2 > 10.83  # p < 0.001
        else:
            assert chi2 < 10.83


def test_taps_shift_on_the_home_page(middling):
    events = middling.read("events")
    arm = middling.read("assignments").query("exp_id == 'home_layout'")
    start = arm["ts"].min()
    home = events[(events["page_path"] == "pages/home/index") & (events["ts"] >= start)]
    arm = arm.set_index("unit_id")["variant"]
    views = home[home["event"] == "page_view"]["user_id"].map(arm).value_counts()
    shift = middling.truth["pages"]["pages/home/index"]["shift"]["banner_main"]
    taps = home[(home["event"] == "tap") & (home["element_id"] == "banner_main")]
    seen = taps["user_id"].map(arm).value_counts()
    for name in ("list", "waterfall"):
        assert _close(seen[name] / views[name], shift[name], views[name])
    cards = home[(home["event"] == "tap") & (home["element_id"] == "card")]
    rate = cards["user_id"].map(arm).value_counts() / views
    assert rate["waterfall"] > rate["list"] * 1.15


def test_item_page_has_its_hot_dead_and_rage_elements(middling):
    events = middling.read("events")
    page = events[events["page_path"] == "pages/item/detail"]
    told = middling.truth["pages"]["pages/item/detail"]
    views = (page["event"] == "page_view").sum()
    taps = page[page["event"] == "tap"]
    count = taps["element_id"].value_counts()
    assert count.index[0] == told["hot"]
    for name in (told["hot"], "gallery", "tab_reviews"):
        p = told["elements"][name]["tap_rate_per_view"]
        assert _close(count[name] / views, p, views)
    shown = page[page["event"] == "impression"].groupby("element_id")["user_id"]
    tapped = taps.groupby("element_id")["user_id"].nunique()
    assert shown.nunique()[told["dead"]] > 200
    assert tapped[told["dead"]] / shown.nunique()[told["dead"]] < 0.02
    mine = taps[taps["element_id"] == told["rage"]].sort_values(["user_id", "ts"])
    gap = mine.groupby("session_id")["ts"].diff()
    runs = (gap.isna() | (gap > pd.Timedelta(seconds=1))).sum()
    assert _close(
        runs / views, told["elements"][told["rage"]]["tap_rate_per_view"], views
    )


def test_open_times_are_slower_on_android_only_as_planted(middling):
    events = middling.read("events")
    mine = events[events["metric"] == "page_open_ms"]
    told = middling.truth["pages"]["page_open_ms"]
    for platform, factor in (("ios", 1.0), ("android", told["android"])):
        log = np.log(mine.loc[mine["platform"] == platform, "value"])
        away = log.median() - np.log(told["median"] * factor)
        assert abs(away) < 0.012 + 4 * 1.2533 * told["sigma_log"] / np.sqrt(len(log))


def test_shares_bring_users(middling):
    events, told = middling.read("events"), middling.truth["shares"]
    cards = events[events["event"] == "share_intent"]
    opens = events[events["event"] == "share_open"]
    assert len(cards) == told["cards"] == cards["share_id"].nunique()
    assert len(opens) == told["opens"]
    assert opens["share_id"].nunique() == told["cards_opened"]
    sender = cards.set_index("share_id")[["user_id", "ts", "group_id"]]
    of = sender.loc[opens["share_id"]]
    assert (of["user_id"].to_numpy() == opens["share_from"].to_numpy()).all()
    assert (of["group_id"].to_numpy() == opens["group_id"].to_numpy()).all()
    assert (opens["user_id"] != opens["share_from"]).all()
    late = opens["ts"].reset_index(drop=True) - of["ts"].reset_index(drop=True)
    assert late.between(pd.Timedelta(0), pd.Timedelta(hours=73)).all()
    new = set(events.loc[events["event"] == "register", "session_id"])
    assert opens["session_id"].isin(new).sum() == told["new_users_brought"] > 100


def test_welcome_walk_has_the_planted_rates(middling):
    counts = middling.read("events")["event"].value_counts()
    plan = middling.truth["funnels"]["welcome"]
    for j in (1, 2):
        n = counts[plan["steps"][j - 1]]
        assert _close(counts[plan["steps"][j]] / n, plan["rate_from_previous"][j], n)


def test_personas_are_as_planted(middling):
    told, members = middling.truth["personas"], middling.read("members")
    for column, name in [("region", "region"), ("channel", "channel")]:
        share = members[column].value_counts(normalize=True)
        for value, want in told[name].items():
            assert _close(share[value], want, len(members))
    counts = pd.DataFrame(told["level_by_age_users"]).T
    assert counts.to_numpy().sum() == len(members)
    assert counts.sum().to_dict() == members["age_band"].value_counts().to_dict()
    for level, shares in told["age_given_level"].items():
        n = counts.loc[level].sum()
        for age, want in shares.items():
            assert _close(counts.loc[level, age] / n, want, n)


def test_dormant_users_are_silent_but_for_the_woken(middling):
    told, wake = middling.truth["people"], middling.truth["wake"]
    members = middling.read("members")
    start = pd.Timestamp(middling.truth["start"], tz="Asia/Shanghai")
    old = set(members.loc[members["joined_ts"] < start, "user_id"])
    assert len(old) == told["buyer"] + told["browser"]
    sent = middling.read("messages").query("campaign_id == 'wake_up'")
    targets = set(sent.loc[sent["action"] == "send", "user_id"])
    assert len(targets) == wake["targeted"]
    assert wake["targeted"] + wake["held_out"] == told["dormant"]
    at = sent["ts"].min()
    events = middling.read("events")
    early = set(events.loc[events["ts"] < at, "user_id"])
    assert not targets & early
    week = events[events["ts"].between(at, at + pd.Timedelta(days=7))]
    back = targets & set(week["user_id"])
    assert len(back) == wake["targeted_back"]
    p, n = wake["back_rate"]["targeted"], wake["targeted"]
    assert _close(len(back) / n, p, n)


def test_grants_are_what_users_answered(middling):
    events, rows = middling.read("events"), middling.read("messages")
    asked = events[events["event"] == "subscribe_result"]
    answers = rows[rows["action"].isin(["grant", "deny"])]
    both = asked.merge(answers, on=["user_id", "ts"])
    assert len(both) == len(asked) == len(answers)
    assert ((both["value"] == 1) == (both["action"] == "grant")).all()
    counts = rows[rows["channel"] == "subscribe"]["action"].value_counts()
    told = middling.truth["messages"]
    assert counts["grant"] == told["grants"]
    assert counts["send"] == told["sends"]


def _latest(sample, api):
    rows = sample.read("official_daily").query(f"api == {api!r}")
    rows = rows.sort_values("pulled_ts")
    return rows.drop_duplicates(["period", "ds", "metric", "key"], keep="last")


def test_official_counts_differ_by_the_stated_cause_and_no_more(middling):
    events, told = middling.read("events"), middling.truth["official"]
    events = events.assign(day=(events["ts"] + LOCAL).dt.date)
    rows = _latest(middling, "getDailyVisitTrend")
    wide = rows.pivot_table(index="ds", columns="metric", values="value")
    by_day = events.groupby("day")
    extra = np.array(told["extra_sessions"])
    assert extra.sum() > 0
    ours = {
        "session_cnt": by_day["session_id"].nunique(),
        "visit_uv": by_day["user_id"].nunique(),
        "visit_pv": events[events["event"] == "page_view"].groupby("day").size(),
    }
    for name, mine in ours.items():
        assert ((wide[name] - mine).to_numpy() == extra).all(), name
    new = events[events["event"] == "register"].groupby("day").size()
    assert (wide["visit_uv_new"] == new).all()
    stay = events[events["event"] == "app_hide"].groupby("day")["dur_ms"].sum() / 1000
    assert np.allclose(wide["stay_time_session"], stay / wide["session_cnt"], atol=1e-3)
    sources = _latest(middling, "getVisitDistribution").groupby("ds")["value"].sum()
    assert (sources == wide["session_cnt"]).all()


def test_official_retention_agrees_with_the_events(middling):
    events = middling.read("events")
    events = events.assign(day=(events["ts"] + LOCAL).dt.floor("D"))
    joined = events[events["event"] == "register"].set_index("user_id")["day"]
    seen = events[["user_id", "day"]].drop_duplicates()
    age = (seen["day"] - seen["user_id"].map(joined)).dt.days
    rows = _latest(middling, "getDailyRetain")
    mine = rows[(rows["metric"] == "visit_uv_new")].groupby("key")["value"].sum()
    for k in (0, 1, 7, 30):
        assert mine[str(k)] == (age == k).sum()
    last = rows["ds"].max()
    assert set(rows[rows["ds"] == last]["key"]) == {"0"}


def test_one_day_was_pulled_twice(middling):
    rows = middling.read("official_daily")
    twice = rows[rows.duplicated(["api", "ds", "metric", "key"], keep=False)]
    assert {str(day) for day in twice["ds"]} == {
        middling.truth["official"]["repulled_ds"]
    }


def test_channels_cost_what_was_planted(middling):
    spend, told = middling.read("channel_spend"), middling.truth["channel_spend"]
    sums = spend.groupby("channel")[["spend_fen", "clicks", "impressions"]].sum()
    members = middling.read("members")
    start = pd.Timestamp(middling.truth["start"], tz="Asia/Shanghai")
    new = members[members["joined_ts"] >= start]["channel"].value_counts()
    for name, want in told.items():
        assert sums.loc[name, "spend_fen"] == want["spend_fen"]
        assert (
            sums.loc[name, "spend_fen"] == sums.loc[name, "clicks"] * want["click_fen"]
        )
        assert new[name] == want["new_users"]
        rate = want["new_users"] / sums.loc[name, "clicks"]
        assert rate == pytest.approx(want["users_per_click"], rel=0.4)


def test_rules_are_broken_as_often_as_planted(middling):
    told = middling.truth["rules"]
    plays = middling.read("participations")
    day = (plays["ts"] + LOCAL).dt.date
    most = plays.groupby(["campaign_id", "user_id", day]).size()
    assert (most > 3).sum() == told["play_freq"]
    prizes = middling.read("prizes").query("physical")
    assert (prizes["logistics_fen"] / prizes["value_fen"] > 0.15).sum() == told[
        "prize_freight"
    ]
    campaigns = middling.read("campaigns")
    feast = campaigns[campaigns["holiday"].notna()]
    lead = (feast["start_ts"] - feast["created_ts"]).dt.days
    assert (lead < 30).sum() == told["holiday_lead"]
    triggers = campaigns["reward_trigger"].dropna()
    assert (~triggers.isin(["register", "order_pay"])).sum() == told["share_reward"]
    cases = middling.read("incidents")
    answer = (cases["responded_ts"] - cases["opened_ts"]).dt.total_seconds() / 60
    assert ((cases["kind"] == "complaint") & (answer > 30)).sum() == told["complaint"]
    solved = (cases["resolved_ts"] - cases["opened_ts"]).dt.total_seconds() / 3600
    assert ((cases["kind"] == "outage") & (solved > 1)).sum() == told["recovery"]
    out = middling.read("stock_daily")["out_of_stock"]
    assert _close(out.mean(), told["stock_out_rate"], len(out))


def test_refunds_are_as_planted(middling):
    orders, told = middling.read("orders"), middling.truth["refunds"]
    end = pd.Timestamp(middling.truth["end"], tz="Asia/Shanghai")
    old = orders[orders["pay_ts"] < end - pd.Timedelta(days=12)]
    back = old[old["refund_fen"] > 0]
    assert _close(len(back) / len(old), told["rate"], len(old))
    full = (back["refund_fen"] == back["paid_fen"]).mean()
    assert _close(full, told["full_rate"], len(back))
