import sys

import numpy as np
import pytest

from growth.errors import ParameterError
from growth.tiers import Programme, load_programme
from growth.tiers.programme import Points, Qualify, Tier, Validity, Window, basis
from tests.tiers import made

TOML = """
[[tiers]]
name = "普通"
min_spend_fen = 0
[[tiers]]
name = "银卡"
min_spend_fen = 50_000
min_interactions = 60
earn_multiplier = "1.2"
[[tiers]]
name = "金卡"
min_spend_fen = 200_000
earn_multiplier = "1.5"
discount_rate = "0.02"
[qualify]
window = { kind = "rolling", months = 12 }
grace_reviews = 1
[points]
pending_days = 7
caps = { review = { per_day = 60 } }
"""
YAML = """
tiers:
  - {name: 普通, min_spend_fen: 0}
  - {name: 银卡, min_spend_fen: 50000, min_interactions: 60, earn_multiplier: "1.2"}
  - {name: 金卡, min_spend_fen: 200000, earn_multiplier: "1.5", discount_rate: "0.02"}
qualify: {window: {kind: rolling, months: 12}, grace_reviews: 1}
points: {pending_days: 7, caps: {review: {per_day: 60}}}
"""


def test_a_file_in_toml_and_in_yaml_is_the_same_programme(tmp_path):
    found = []
    for name, text in (("p.toml", TOML), ("p.yaml", YAML)):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        found.append(load_programme(path))
    assert found[0] == found[1] == Programme.from_mapping(found[0].to_dict())
    assert load_programme(found[0]) is found[0]
    assert found[0].names == ("普通", "银卡", "金卡")
    assert found[0].points.caps.review.per_day == 60
    built = Programme(
        tiers=found[0].tiers,
        qualify=Qualify(window=Window(kind="rolling", months=12), grace_reviews=1),
        points=Points(pending_days=7, caps=found[0].points.caps),
    )
    assert built == found[0]
    assert built.compiled == found[0].compiled


def test_defaults_are_those_of_the_declaration():
    programme = load_programme({"tiers": [{}]})
    assert programme.names == ("T0",)
    assert programme.points.validity == Validity(months=12, round="month_end")
    assert (programme.qualify.upgrade, programme.qualify.downgrade) == (
        "immediate",
        "one_down",
    )
    assert (programme.refund.shortfall, programme.refund.tier) == ("debt", "at_review")


def test_all_faults_come_at_once_with_their_places():
    with pytest.raises(ParameterError, match=r"the programme: \d+ fault") as info:
        load_programme(
            {
                "tiers": [{"name": "a", "min_spend_fen": 1.5}, {"name": "b"}, 7],
                "qualify": {"match": "al", "window": {"kind": "rollin", "months": 99}},
                "points": {"per_yuan": 1.5, "login": -1, "validity": {"months": 0}},
                "refund": {"shortfall": "owe", "tier": "now"},
                "timezone": 8,
                "allow_more_than_four_tiers": 1,
                "nonsense": True,
            }
        )
    found = {(fault.name, fault.code) for fault in info.value.faults}
    assert found >= {
        ("nonsense", "unknown_field"),
        ("timezone", "unknown_timezone"),
        ("allow_more_than_four_tiers", "wrong_type"),
        ("tiers[0].min_spend_fen", "money_not_integer"),
        ("tiers[1]", "tier_asks_nothing"),
        ("tiers[2]", "wrong_type"),
        ("qualify.match", "not_a_choice"),
        ("qualify.window.kind", "not_a_choice"),
        ("qualify.window.months", "window_months_out_of_range"),
        ("points.per_yuan", "per_yuan_out_of_range"),
        ("points.login", "points_negative"),
        ("points.validity.months", "validity_out_of_range"),
        ("refund.shortfall", "not_a_choice"),
        ("refund.tier", "not_a_choice"),
    }


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"tiers": []}, "no_tiers", "a list of one tier or more"),
        ({"tiers": made.TIERS[::-1]}, "first_tier_not_open", "asks 200000 fen"),
        (
            {"tiers": [{}, {"min_interactions": 12}, {"min_interactions": 12}]},
            "thresholds_not_increasing",
            r"tiers\[2\].min_interactions is 12",
        ),
        (
            {"tiers": [{}, {"min_spend_fen": 5, "perk_fen_per_month": -1}]},
            "amount_negative",
            "perk_fen_per_month is -1",
        ),
        ({"tiers": [{"earn_multiplier": "21"}]}, "multiplier_out_of_range", "0 to 20"),
        ({"tiers": [{"earn_multiplier": 1.2}]}, "multiplier_out_of_range", "as text"),
        ({"tiers": [{"earn_multiplier": "1.23456"}]}, "multiplier_out_of_range", "4 p"),
        ({"qualify": {"interactions": "login"}}, "wrong_type", "a list"),
        ({"qualify": {"grace_reviews": 25}}, "grace_out_of_range", "0 to 24"),
        ({"points": {"pending_days": 91}}, "pending_out_of_range", "0 to 90"),
        (
            {"qualify": {"review": "window_end"}},
            "review_not_of_window",
            "month_end, quarter_end or year_end for a rolling window",
        ),
        ({"points": {"redeem": {"value_fen": 0.5}}}, "money_not_integer", "whole fen"),
        ({"points": []}, "wrong_type", "a table of keys"),
    ],
)  # fmt: skip
def test_a_fault_says_what_was_seen_and_what_would_be_right(change, code, message):
    with pytest.raises(ParameterError, match=message) as info:
        load_programme({"tiers": made.TIERS} | change)
    assert info.value.code == code


def test_five_tiers_pass_with_the_override():
    tiers = [{"min_spend_fen": fen} for fen in (0, 1, 2, 3, 4)]
    load_programme({"tiers": tiers, "allow_more_than_four_tiers": True})
    with pytest.raises(ParameterError, match="5 tiers; it must be 4 tiers at most"):
        load_programme({"tiers": tiers})


def test_a_programme_is_changed_by_key_path_and_judged_again():
    programme = load_programme({"tiers": made.TIERS})
    other = programme.change({"tiers[1].min_spend_fen": 60_000, "points.login": 2})
    assert (other.tiers[1].min_spend_fen, other.points.login) == (60_000, 2)
    assert programme.tiers[1].min_spend_fen == 50_000
    with pytest.raises(ParameterError, match="mean 'login'") as info:
        programme.change({"points.logn": 2})
    assert info.value.code == "unknown_field"
    with pytest.raises(ParameterError, match="above 50000"):
        programme.change({"tiers.2.min_spend_fen": 40_000})


def test_a_file_that_is_none_is_named(tmp_path):
    for name, text in (("a.toml", "tiers = ["), ("b.yaml", "a: [}"), ("c.yaml", "- 1")):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ParameterError, match=name) as info:
            load_programme(path)
        assert info.value.code == "unreadable_programme"
    with pytest.raises(ParameterError, match=r"none\.toml cannot be read"):
        load_programme(tmp_path / "none.toml")


def test_pending_points_must_end_within_the_shortest_life():
    short = {"tiers": [{}], "points": {"validity": {"months": 1, "round": "none"}}}
    for wait, good in ((28, True), (29, False)):
        declared = short | {"points": short["points"] | {"pending_days": wait}}
        if good:
            load_programme(declared)
        else:
            with pytest.raises(ParameterError, match="28 or less"):
                load_programme(declared)


def test_decimal_text_becomes_ten_thousandths():
    assert [basis(t) for t in ("0", "1", "1.2", "1.15", "0.0001", "20.5")] == [
        0, 10_000, 12_000, 11_500, 1, 205_000,
    ]  # fmt: skip
    assert Tier().earn_multiplier == "1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points.review.per_day": 60}, "leads past 20, .* it must end at a value"),
        ({"tiers.1.min_spend_fen.x": 1}, "leads past 50000"),
        ({"tiers.\u00b2.name": "x"}, "leads nowhere at '\u00b2'; .*'0', '1', '2'"),
        ({1: 2}, "leads nowhere at '1'"),
        ("points.login", "changes is 'points.login'; it must be a mapping"),
        (None, "changes is None; it must be a mapping"),
    ],
)
def test_a_change_that_leads_nowhere_is_told(changes, message):
    with pytest.raises(ParameterError, match=message):
        load_programme({"tiers": made.TIERS}).change(changes)


def test_numbers_of_numpy_are_numbers_and_its_arrays_are_none():
    programme = load_programme({"tiers": made.TIERS})
    other = programme.change({"tiers.1.min_spend_fen": np.int64(40_000)})
    assert type(other.tiers[1].min_spend_fen) is int
    assert (
        other.fingerprint
        == programme.change({"tiers.1.min_spend_fen": 40_000}).fingerprint
    )
    for path in ("tiers.1.min_spend_fen", "tiers.1.name", "qualify.match", "tiers"):
        with pytest.raises(ParameterError, match="array") as info:
            programme.change({path: np.array([1, 2])})
        assert info.value.code != "parameter"


def test_numbers_beyond_all_sums_are_refused():
    for path in ("tiers.1.min_spend_fen", "points.caps.login.per_day"):
        with pytest.raises(ParameterError, match=r"or less\. Correct it") as info:
            load_programme({"tiers": made.TIERS}).change({path: 10**30})
        assert info.value.code == "amount_too_large"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"tiers": ({"name": "a", "min_spend_fen": 0},)}, r"tiers\[0\] is .* a Tier"),
        ({"tiers": (Tier(),), "qualify": {"grace_reviews": 1}}, "must be a Qualify"),
        ({"tiers": (Tier(),), "points": Points(caps={})}, "points.caps is {}"),
        ({"tiers": (Tier(),), "points": Points(redeem=None)}, "points.redeem is None"),
        ({"tiers": 5}, "tiers is 5"),
    ],
)
def test_a_programme_built_of_other_things_is_refused(parts, message):
    with pytest.raises(ParameterError, match=message):
        Programme(**parts)


@pytest.mark.parametrize("source", [None, 5, []])
def test_what_is_no_source_of_a_programme_is_told(source):
    with pytest.raises(ParameterError, match="a path, a mapping or a Prog") as info:
        load_programme(source)
    assert info.value.code == "unreadable_programme"


def test_yaml_without_its_library_names_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "p.yaml"
    path.write_text("tiers: []", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ParameterError, match="install pyyaml, or write") as info:
        load_programme(path)
    assert info.value.code == "unreadable_programme"


def test_a_second_tier_asks_for_more_than_the_first_even_if_that_is_silent():
    with pytest.raises(ParameterError, match="above 0") as info:
        load_programme({"tiers": [{"name": "a"}, {"name": "b", "min_spend_fen": 0}]})
    assert info.value.code == "thresholds_not_increasing"
    with pytest.raises(ParameterError, match="two tiers named 'T1'"):
        load_programme({"tiers": [{"name": "T1"}, {"min_spend_fen": 5}]})
