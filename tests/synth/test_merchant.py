import hashlib
import json
import subprocess
import sys
import tomllib
from datetime import date

import numpy as np
import pandas as pd
import pytest

from growth import synth
from growth.errors import ParameterError, StoreError


def _digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_import_loads_no_arrow_and_no_pandas():
    code = "import sys, growth.synth; print({'pyarrow','pandas'} & {*sys.modules})"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "set()"


def test_same_seed_gives_the_same_bytes_and_another_seed_others(small, tmp_path):
    synth.sample(tmp_path / "again", seed=7, users=500)
    assert _digests(tmp_path / "again") == _digests(small.folder)
    synth.sample(tmp_path / "other", seed=8, users=500)
    changed = _digests(tmp_path / "other")
    same = {k for k, v in _digests(small.folder).items() if changed.get(k) == v}
    assert same == {
        "campaigns.parquet",
        "prizes.parquet",
        "programme.toml",
        "programme_next.toml",
        "experiments/aa_check.toml",
        "experiments/broken_split.toml",
        "experiments/home_layout.toml",
    }


def test_a_sample_replaces_a_sample_but_nothing_else(small, tmp_path):
    out = tmp_path / "out"
    synth.sample(out, seed=1, users=100)
    synth.sample(out, seed=7, users=500)
    assert _digests(out) == _digests(small.folder)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match="holds something else"):
        synth.sample(mine, seed=1, users=100)
    assert (mine / "thesis.txt").read_text() == "precious"


def test_a_failed_sample_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        msg = "no room"
        raise OSError(msg)

    monkeypatch.setattr("growth.synth.merchant._truth", fail)
    with pytest.raises(OSError, match="no room"):
        synth.sample(tmp_path / "out", seed=1, users=100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"users": 10}, "out_of_range", "users is 10; it must be at least 100"),
        ({"days": 7}, "out_of_range", "days is 7"),
        ({"seed": -1}, "seed_negative", "seed is -1"),
        ({"end": date(2026, 3, 2)}, "end_not_first_of_month", "use 2026-03-01"),
    ],
)
def test_refuses_what_it_cannot_make(tmp_path, wrong, code, words):
    with pytest.raises(ParameterError, match=words) as caught:
        synth.sample(tmp_path / "out", **({"users": 100, "seed": 1} | wrong))
    assert caught.value.code == code
    assert not (tmp_path / "out").exists()


def test_report_counts_what_is_on_disk(small):
    rows = {row["table"]: row for row in small.report.rows()}
    assert rows["events"]["files"] == 60
    for name, row in rows.items():
        assert row["row_count"] == len(small.read(name))
    assert sum(row["bytes"] for row in rows.values()) == sum(
        path.stat().st_size for path in small.folder.rglob("*.parquet")
    )
    assert small.report.as_of == date(2026, 2, 28)
    assert set(small.report.truth) == set(small.truth)
    assert json.dumps(small.report.to_dict(), allow_nan=False)
    assert "60" in small.report.to_html()


def test_declarations_are_toml_with_both_languages(small):
    for name in small.report.experiments:
        path = small.folder / "experiments" / f"{name}.toml"
        told = tomllib.loads(path.read_text("utf-8"))
        assert told["id"] == name
        assert set(told["title"]) == set(told["question"]) == {"en", "zh"}
        assert (told["end"] - told["start"]).days == 28
        for metric in told["metric"]:
            assert set(metric["label"]) == {"en", "zh"}
    programme = tomllib.loads((small.folder / "programme.toml").read_text("utf-8"))
    assert [t["min_spend_fen"] for t in programme["tiers"]] == [0, 50_000, 200_000]


def test_events_lie_in_their_day_sorted_by_user_and_time(middling):
    import pyarrow.parquet as pq

    folders = sorted((middling.folder / "events").iterdir())
    assert len(folders) == 60
    for folder in folders[::20]:
        files = sorted(path.name for path in folder.iterdir())
        assert files == ["part-0.parquet", "part-1.parquet"]
        for name in files:
            rows = pq.read_table(folder / name, columns=["user_id", "ts"]).to_pandas()
            day = (rows["ts"] + pd.Timedelta(hours=8)).dt.date.astype(str)
            assert set("ds=" + day) == {folder.name}
            again = rows.sort_values(["user_id", "ts"], kind="stable")
            assert again.index.equals(rows.index)


def test_no_id_looks_like_an_openid_or_a_phone(small):
    for table, column in [
        ("events", "user_id"),
        ("events", "session_id"),
        ("events", "device_id"),
        ("events", "share_id"),
        ("members", "user_id"),
        ("orders", "order_id"),
        ("assignments", "unit_id"),
    ]:
        ids = small.read(table)[column].dropna()
        assert len(ids)
        assert ids.str.fullmatch("[0-9a-f]{32}").all(), (table, column)


def test_everything_refers_to_something_that_is_there(middling):
    users = set(middling.read("members")["user_id"])
    assert len(users) == 6_000
    events, orders = middling.read("events"), middling.read("orders")
    for rows, column in [
        (events, "user_id"),
        (events, "share_from"),
        (orders, "user_id"),
        (middling.read("points_ledger"), "user_id"),
        (middling.read("assignments"), "unit_id"),
    ]:
        assert set(rows[column].dropna()) <= users
    assert orders["order_id"].is_unique
    known = set(orders["order_id"])
    for name in ("order_items", "refunds", "points_ledger"):
        assert set(middling.read(name)["order_id"].dropna()) <= known
    sent = events.loc[events["event"] == "share_intent", "share_id"]
    assert set(events["share_id"].dropna()) == set(sent)


def test_orders_of_the_log_are_its_payments(middling):
    events, orders = middling.read("events"), middling.read("orders")
    start = pd.Timestamp(middling.truth["start"], tz="Asia/Shanghai")
    paid = events[events["event"] == "order_pay"].set_index("order_id")
    mine = orders[orders["pay_ts"] >= start].set_index("order_id")
    assert len(mine) == len(paid) > 500
    paid = paid.reindex(mine.index)
    assert (paid["ts"] == mine["pay_ts"]).all()
    assert (paid["value_fen"] == mine["paid_fen"]).all()
    assert (paid["user_id"] == mine["user_id"]).all()


def test_money_adds_up(middling):
    orders = middling.read("orders").set_index("order_id")
    lines, back = middling.read("order_items"), middling.read("refunds")
    paid = orders[orders["pay_ts"].notna()]
    assert (orders.loc[orders["pay_ts"].isna(), "paid_fen"] == 0).all()
    total = lines.groupby("order_id")["paid_fen"].sum().reindex(paid.index)
    assert (total + paid["freight_fen"] == paid["paid_fen"]).all()
    made = paid["goods_fen"] - paid["discount_fen"] + paid["freight_fen"]
    assert (made == paid["paid_fen"]).all()
    assert (lines["qty"] > 0).all()
    returned = back.groupby("order_id")["amount_fen"].sum()
    assert (returned.reindex(orders.index).fillna(0) == orders["refund_fen"]).all()
    assert (orders["refund_fen"] <= orders["paid_fen"]).all()
    assert not back.duplicated(["order_id", "refund_id"]).any()
    assert (back["amount_fen"] > 0).all()
    when = back["order_id"].map(orders["pay_ts"])
    assert (back["ts"] > when).all()
    assert (paid["create_ts"] <= paid["pay_ts"]).all()


def test_sessions_follow_the_session_rule(middling):
    events = middling.read("events").sort_values(["user_id", "ts"], kind="stable")
    gap = events.groupby("user_id")["ts"].diff()
    new = events["session_id"] != events.groupby("user_id")["session_id"].shift()
    assert (gap[new].dropna() >= pd.Timedelta(minutes=30)).all()
    assert (gap[~new] < pd.Timedelta(minutes=30)).all()
    first = events[new]
    assert first["event"].isin(["app_launch", "app_show"]).all()
    assert events.groupby("session_id")["scene"].nunique().eq(1).all()


def test_new_users_come_back_on_the_planted_curve(middling):
    events = middling.read("events")
    day = (events["ts"] + pd.Timedelta(hours=8)).dt.floor("D")
    events = events.assign(day=day)[["user_id", "event", "day"]]
    joined = events[events["event"] == "register"].set_index("user_id")["day"]
    assert joined.index.is_unique
    seen = events[events["event"] == "app_show"].drop_duplicates()
    seen = seen[seen["user_id"].isin(joined.index)]
    age = (seen["day"] - seen["user_id"].map(joined)).dt.days
    left = (day.max() - joined).dt.days
    for k in (1, 3, 7, 14, 30):
        n = int((left >= k).sum())
        p = middling.truth["retention"]["curve"][k]
        assert abs((age == k).sum() / n - p) < 4 * np.sqrt(p * (1 - p) / n)
    assert (age >= 0).all()


def test_purchase_walk_has_the_planted_rates_and_delays(middling):
    plan = middling.truth["funnels"]["purchase"]
    events = middling.read("events")
    view = events["event"].eq("page_view") & events["page_path"].eq("pages/item/detail")
    steps = [events[view].set_index("session_id")["ts"]]
    steps += [
        events[events["event"] == name].set_index("session_id")["ts"]
        for name in plan["steps"][1:]
    ]
    for j in range(1, 5):
        assert steps[j].index.is_unique
        assert steps[j].index.isin(steps[j - 1].index).all()
        n, p = len(steps[j - 1]), plan["rate_from_previous"][j]
        assert abs(len(steps[j]) / n - p) < 4 * np.sqrt(p * (1 - p) / n)
        took = (steps[j] - steps[j - 1].reindex(steps[j].index)).dt.total_seconds()
        spread = 1.2533 * plan["sigma_log"] / np.sqrt(len(took))
        away = np.log(took.median() * 1000 / plan["median_ms"][j - 1])
        assert abs(away) < 4 * spread


def test_nothing_happens_before_a_user_joined(middling):
    joined = middling.read("members").set_index("user_id")["joined_ts"]
    for table, column in [
        ("events", "ts"),
        ("orders", "pay_ts"),
        ("points_ledger", "ts"),
    ]:
        first = middling.read(table).groupby("user_id")[column].min().dropna()
        assert (first >= joined.reindex(first.index)).all(), table


def test_buyers_before_the_log_buy_by_bg_nbd(middling):
    from scipy.special import hyp2f1

    start = pd.Timestamp(middling.truth["start"], tz="Asia/Shanghai")
    orders = middling.read("orders")
    past = orders[orders["pay_ts"] < start]
    repeats = past.groupby("user_id").size() - 1
    assert len(repeats) == middling.truth["people"]["buyer"]
    told = middling.truth["buying"]
    r, alpha, a, b = (told[name] for name in ("r", "alpha", "a", "b"))
    joined = middling.read("members").set_index("user_id")["joined_ts"]
    t = (start - joined[repeats.index]).dt.total_seconds().to_numpy() / 86_400
    shape = hyp2f1(r, b, a + b - 1, t / (alpha + t))
    want = (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + t)) ** r * shape)
    away = repeats.to_numpy() - want
    assert abs(away.mean()) < 4 * away.std() / np.sqrt(len(away))


def test_progress_counts_days_of_every_shard(tmp_path):
    seen = []
    synth.sample(
        tmp_path / "out",
        seed=1,
        users=200,
        shard_users=100,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(day, 120) for day in range(1, 121)]


def test_points_balance_and_the_ledger_identity(middling):
    rows = middling.read("points_ledger").sort_values(["user_id", "ts"])
    sums = rows.groupby("kind")["points"].sum()
    told = middling.truth["points"]
    assert sums["earn"] == told["issued"]
    assert -sums["redeem"] == told["redeemed"]
    assert -sums["expire"] == told["expired"]
    assert -sums["reverse"] == told["clawed"]
    assert told["issued"] + told["debt"] == (
        told["redeemed"] + told["expired"] + told["clawed"] + told["active"]
    )
    members = middling.read("members").set_index("user_id")
    balance = rows.groupby("user_id")["points"].sum()
    held = members["points_balance"].dropna()
    assert (balance.reindex(held.index).fillna(0) == held).all()
    running = rows.groupby("user_id")["points"].cumsum()
    assert (running[rows["kind"] != "reverse"] >= 0).mean() > 0.999
    assert (running[rows["kind"].isin(["redeem", "expire"])] >= 0).all()
    signs = np.sign(rows["points"])
    assert (signs == np.where(rows["kind"] == "earn", 1, -1)).all()


def test_tiers_follow_from_twelve_months_of_net_spend(middling):
    orders = middling.read("orders")
    since = pd.Timestamp("2025-03-01", tz="Asia/Shanghai")
    late = orders[orders["pay_ts"] >= since]
    net = (late["paid_fen"] - late["refund_fen"]).groupby(late["user_id"]).sum()
    members = middling.read("members").set_index("user_id")
    enrolled = members[members["tier"].notna()]
    spend = net.reindex(enrolled.index).fillna(0)
    assert (spend == enrolled["qualifying_fen_12m"]).all()
    tier = np.searchsorted([0, 50_000, 200_000], spend, side="right") - 1
    assert (tier == enrolled["tier"]).all()
    assert set(tier) == {0, 1, 2}
    assert members.loc[members["tier"].isna(), "points_balance"].isna().all()
