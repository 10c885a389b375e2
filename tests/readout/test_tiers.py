"""The pieces of the tiers readout, and what its parameters refuse."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from growth import tiers
from growth.errors import ParameterError
from growth.readout import TiersParams
from growth.readout import tiers as room
from growth.readout.tiers import asked as asking
from growth.readout.tiers import words
from growth.tiers import BackTest, Origin, Span

NOW = """
tiers = [
  { name = "普通", min_spend_fen = 0 },
  { name = "银卡", min_spend_fen = 50000 },
]
points = { redeem = { block = 100, value_fen = 100 } }
"""
NEXT = NOW.replace("50000 }", '40000, earn_multiplier = "1.5" }')
AS_OF = date(2025, 12, 31)
ASKED = {
    "name": "next", "as_of": AS_OF, "margin_rate": 0.3, "redemption": 0.5,
    "months": 6, "replications": 6,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tiers")
    (made / "programme.toml").write_text(NOW, "utf-8")
    (made / "programme_next.toml").write_text(NEXT, "utf-8")
    return made


def asked(folder, **more):
    return TiersParams(data=str(folder), **(ASKED | more))


def people(**more):
    made = tiers.Population.from_priors(
        400,
        buying=(0.8, 60.0, 0.8, 2.5),
        spending=(6.0, 4.0, 30_000.0),
        as_of=AS_OF,
        seed=3,
    )
    return replace(made, **more)


def past_tests():
    origins = [
        Origin(
            date(2025, month, 1), 100, 900_000.0 + 1000 * month, 1_000_000.0,
            Span(880_000.0, 920_000.0), Span(700_000.0, 1_300_000.0), month, 0.1,
        )
        for month in (3, 4, 5, 6)
    ]  # fmt: skip
    return (BackTest(generator="bgnbd", origins=tuple(origins), window_days=84),)


def replayed(programme, ledger=None):
    at = datetime(2025, 12, 1, 4, tzinfo=UTC)
    orders = pd.DataFrame(
        {"order_id": ["o1", "o2"], "user_id": ["a", "b"], "pay_ts": [at, at],
         "paid_fen": [60_000, 1_000]}
    )  # fmt: skip
    return tiers.replay(orders, programme, as_of=AS_OF, ledger=ledger)


def found(params, who=None):
    both = params.programmes()
    members = who or people()
    return room.Found(
        change=tiers.compare(members, both, **params.assumptions()),
        people=members,
        actual=replayed(both["now"]),
        buyers=members.members,
        everybody=members.members + 20,
    )


@pytest.fixture(scope="module")
def params(folder):
    return asked(folder)


@pytest.fixture(scope="module")
def plain(params):
    return found(params)


@pytest.fixture(scope="module")
def recorded(params):
    return found(params, people(back_tests=past_tests()))


def test_the_headline_says_how_much_less_and_that_no_answer_was_assumed(plain, params):
    said = room.summary(plain, params).html
    assert "The changed programme earns ¥" in said
    assert "less margin over 6 months" in said
    assert "No uplift was stated" in said
    assert "30.0% of the list price" in said
    assert "too few earlier forecasts" in said


def test_a_record_of_forecasts_is_named_and_its_interval_quoted(recorded, params):
    said = room.summary(recorded, params).html
    assert "calibrated by 4 earlier forecasts" in said
    margin = recorded.of("margin_fen")
    assert margin.headline == margin.calibrated
    table = room.money_table(recorded).html
    assert "Model alone (too narrow)" in table
    assert words.ends(margin.mc, "fen", "en") in table
    assert words.ends(margin.calibrated, "fen", "en") in table
    assert "Calibrated interval" in room.counts_table(recorded).html


def test_equal_programmes_are_the_same_to_the_fen(folder):
    params = asked(folder, changes="tiers.1.min_spend_fen=50000")
    same = found(params)
    said = room.summary(same, params).html
    assert "both programmes come to the same, to the fen" in said
    assert "same rules" in room.changes(same).html


def test_every_rule_that_changes_has_a_row(plain):
    said = room.changes(plain).html
    assert "银卡 · spend from" in said
    assert "¥500" in said
    assert "¥400" in said
    assert "×1.5" in said
    assert said.count("<tr>") == 3


def test_what_points_owe_is_what_the_simulation_says(plain):
    said = room.owed_table(plain).html
    for one in plain.change.simulation.scenarios:
        owed = one.metric("liability_fen").mean()
        assert words.money(float(owed)) in said


def test_the_actual_orders_give_each_tier_its_members(plain):
    said = room.standing_table(plain).html
    assert "until" not in said
    for name in ("普通", "银卡"):
        assert f'<th scope="row">{name}</th><td class="n">1</td>' in said
    assert ">600<" in said.replace('class="n"', "")


def test_the_method_chosen_is_marked_and_a_short_past_is_said(recorded, plain):
    said = room.back_tests(recorded).html
    assert "BG/NBD and Gamma-Gamma ✓" in said
    assert ">4/4<" in said
    assert ">0/4<" in said
    assert "given, not tested" in room.back_tests(plain).html
    assert list(room.drawings(plain)) == [
        "differences", "tiers", "flows", "liability", "deferral",
    ]  # fmt: skip
    assert "forecasts" in room.drawings(recorded)


class Opened:
    load_report = None
    rejects_file = None


def test_checks_say_what_is_left_out_and_what_disagrees(plain):
    said = room.checks(Opened(), plain).html
    assert "400 of 420 who ordered" in said
    assert "who joins later comes in with newcomers=" in said
    assert "no calibrated interval" in said
    assert "There is no ledger in use" in said
    at = datetime(2025, 12, 1, 4, tzinfo=UTC)
    ledger = pd.DataFrame(
        {"user_id": ["a", "b"], "ts": [at, at], "kind": ["earn", "earn"],
         "points": [600, 11]}
    )  # fmt: skip
    other = replayed(plain.programmes()[0], ledger)
    said = room.checks(Opened(), replace(plain, actual=other)).html
    assert "1 of 2 members hold other points" in said


def test_chinese_pages_have_chinese_words(recorded, params):
    parts = [
        room.summary(recorded, params, lang="zh"),
        room.changes(recorded, lang="zh"),
        room.money_table(recorded, lang="zh"),
        room.back_tests(recorded, lang="zh"),
        room.checks(Opened(), recorded, lang="zh"),
    ]
    said = "".join(part.html for part in parts)
    assert "新方案在 6 个月内少赚毛利" in said
    assert "programme" not in said


def test_changes_are_read_by_key_path_and_decimals_stay_text(folder):
    params = asked(
        folder,
        changes="tiers.1.min_spend_fen=30000, tiers.1.earn_multiplier=2,"
        "qualify.downgrade=never",
    )
    new = params.programmes()["new"]
    assert new.tiers[1].min_spend_fen == 30_000
    assert new.tiers[1].earn_multiplier == "2"
    assert new.qualify.downgrade == "never"
    assert params.new_path() is None


def test_an_uplift_is_a_mean_and_a_deviation_a_tier(folder):
    assert asked(folder).response().off
    stated = asked(folder, uplift="0:0, 0.05:0.02").response()
    assert stated.beta == ((0.0, 0.0), (0.05, 0.02))


@pytest.mark.parametrize(
    ("over", "code", "words"),
    [
        ({"changes": "tiers.1.min_spend=1"}, "unknown_field", "min_spend_fen"),
        ({"changes": "cheaper"}, "bad_change", "path=value"),
        ({"uplift": "5%"}, "bad_uplift", "a mean and a deviation"),
        ({"changes": "tiers.1.min_spend_fen=-5"}, "money_not_integer", "min_spend"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_kernel_is_started(
    folder, over, code, words
):
    with pytest.raises(ParameterError, match=words) as caught:
        asked(folder, **over).check()
    assert caught.value.code == code


def test_a_missing_programme_or_change_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"no programme\.toml") as caught:
        asked(tmp_path).check()
    assert caught.value.code == "programme_needed"
    (tmp_path / "programme.toml").write_text(NOW, "utf-8")
    with pytest.raises(ParameterError, match="new_programme is empty too") as caught:
        asked(tmp_path).check()
    assert caught.value.code == "no_change"
    names = [name for name, _ in asked(tmp_path).inputs()]
    assert names == ["data", "programme"]


def test_deferred_revenue_is_written_to_the_fen_and_adds_up(plain):
    said = room.deferral_table(plain).html
    roll = plain.change.simulation.roll_forward("new")
    for month, one in zip(roll.months, roll.periods, strict=True):
        assert month in said
        for fen in (one.opening, one.deferred, one.recognised, one.clawed):
            assert words.exact(fen) in said
    assert words.exact(-123_456) == "−¥1,234.56"
    assert said.index("Of which re-estimate") < said.index("Given back with refunds")
    assert "Of which re-estimate" not in room.deferral_table(plain, lang="zh").html


def test_who_joins_later_is_said_and_drawn(folder):
    days = [date(2026, 1, 5), date(2026, 2, 5)]
    later = found(asked(folder, months=2), people().with_arrivals(days))
    later = replace(later, buyers=400)
    said = room.checks(Opened(), later).html
    assert "2 people join during the run, as stated" in said
    assert "Lately" in said
    summary = room.summary(later, asked(folder, months=2)).html
    assert "to 400 members" in summary
    assert later.change.simulation.scenarios[0].table()["joined"].sum() == 12


@pytest.mark.parametrize(
    ("day", "months", "last"),
    [
        (date(2026, 1, 30), 1, date(2026, 2, 27)),  # from 31 January to 27 February
        (date(2025, 12, 31), 2, date(2026, 2, 28)),
        (date(2025, 6, 30), 2, date(2025, 8, 31)),
    ],
)
def test_people_join_until_the_run_is_over_and_no_longer(folder, day, months, last):
    params = asked(folder, as_of=day, months=months, newcomers=3000)
    later = asking.joined_by(people(as_of=day), params)
    joined = later.joined[-later.arrivals :]
    assert joined.min() == later.start
    assert date(1970, 1, 1) + timedelta(days=int(joined.max())) == last
    nobody = asked(folder, as_of=day, months=months)
    assert asking.joined_by(people(as_of=day), nobody).arrivals == 0


def test_rules_are_named_in_words(folder):
    text = NOW.replace("block = 100", "block = 200") + "timezone = 'Asia/Tokyo'\n"
    (folder / "other.toml").write_text(text, "utf-8")
    both = found(asked(folder, new_programme=str(folder / "other.toml"), months=1))
    said = room.changes(both).html
    for name in ("Points in a block", "Time zone"):
        assert name in said
    assert "points.redeem" not in said
    assert "每份兑换积分" in room.changes(both, lang="zh").html
