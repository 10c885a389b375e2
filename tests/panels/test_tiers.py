from datetime import date

import pytest

from growth import tiers
from growth.errors import ParameterError
from growth.labels import label
from growth.panels import tiers as panels
from growth.readout.params import declaration_of
from growth.tiers.designing import Against

NOW = """
tiers = [
  { name = "普通", min_spend_fen = 0 },
  { name = "银卡", min_spend_fen = 50000, earn_multiplier = "1.2" },
  { name = "金卡", min_spend_fen = 200050, earn_multiplier = "1.5" },
]
points = { redeem = { block = 100, value_fen = 100 } }
"""
ASSUMED = {"margin_rate": 0.3, "redemption": 0.3, "months": 3, "replications": 2}


@pytest.fixture(scope="module")
def people():
    return tiers.Population.from_priors(
        200,
        buying=(0.8, 60.0, 0.8, 2.5),
        spending=(6.0, 4.0, 40_000.0),
        as_of=date(2025, 12, 31),
        seed=3,
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "programme.toml"
    path.write_text(NOW, "utf-8")
    return path


@pytest.fixture
def panel(people, file):
    return panels.designer(people, file, **ASSUMED)


def test_every_tier_above_the_first_has_a_threshold_and_all_have_a_multiplier(panel):
    assert list(panel.controls) == [
        "multiplier_0", "spend_1", "multiplier_1", "spend_2", "multiplier_2",
    ]  # fmt: skip
    assert panel.controls["spend_1"].value == 500
    assert panel.controls["spend_2"].value == 2000  # of 2,000.50
    assert panel.controls["multiplier_2"].description == "金卡: multiplier"


def test_untouched_it_is_the_present_programme_to_the_fen(panel):
    assert panel.result.verdict == "tiers.comparison.same"
    assert {one.difference for one in panel.result.differences} == {0.0}
    both = panel.result.simulation.scenarios
    assert both[1].programme == both[0].programme
    assert both[1].programme.tiers[2].min_spend_fen == 200_050


def test_a_moved_threshold_gives_what_the_verb_gives_and_redraws(panel, people, file):
    before = panel.picture.value
    panel.controls["spend_1"].value = 400
    panel.controls["multiplier_2"].value = 1.8
    now = tiers.load_programme(file)
    new = now.change(
        {"tiers.1.min_spend_fen": 40_000, "tiers.2.earn_multiplier": "1.8"}
    )
    same = tiers.compare(people, {"now": now, "new": new}, seed=1, **ASSUMED)
    assert panel.result.differences == same.differences
    assert panel.picture.value != before
    assert panel.picture.value.count("<svg") == 2
    assert "<script" not in panel.picture.value
    margin = next(d for d in same.differences if d.metric == "margin_fen")
    assert margin.headline is not None
    assert margin.difference < 0


def test_the_readout_that_asks_the_same_is_written_below(panel):
    assert "tiers.0.min_spend_fen=0" in panel.hand.value
    panel.controls["spend_2"].value = 1500
    panel.controls["multiplier_1"].value = 1.3
    said = panel.hand.value
    assert "growth readout run tiers_readout" in said
    assert "tiers.1.earn_multiplier=1.3,tiers.2.min_spend_fen=150000" in said
    assert "margin_rate=0.3" in said
    assert "[[readout]]" in said


def test_what_is_handed_over_is_the_programme_that_was_shown(panel):
    panel.controls["spend_1"].value = 450
    asked = {name: control.value for name, control in panel.controls.items()}
    params = panel._params(asked)
    shown = panel.result.simulation.scenarios
    assert params.programmes() == {one.name: one.programme for one in shown}
    assert declaration_of(params).name == "tiers_readout"


def test_thresholds_that_would_fall_are_refused_and_leave_what_was_shown(panel):
    panel.controls["spend_1"].value = 400
    shown, result = panel.picture.value, panel.result
    panel.controls["spend_2"].value = 200
    assert "tiers[2].min_spend_fen" in panel.status.view.value
    assert panel.picture.value == shown
    assert panel.result is result


def test_equal_values_are_simulated_once(panel, monkeypatch):
    panel.controls["spend_1"].value = 400
    first = panel.result

    def never(*_, **__):
        pytest.fail("it was simulated again")

    panel.controls["spend_1"].value = 500
    monkeypatch.setattr(Against, "compare", never)
    panel.controls["spend_1"].value = 400
    assert panel.result is first


def test_interrupt_stops_it_and_leaves_what_was_shown(panel, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    shown = panel.picture.value
    monkeypatch.setattr(Against, "compare", stopped)
    panel.controls["spend_1"].value = 425
    assert "Stopped" in panel.status.view.value
    assert panel.picture.value == shown


def test_an_answer_may_be_stated_and_is_handed_over(people, file):
    uplift = tiers.Response(beta=((0.0, 0.0), (0.05, 0.02)), delta=0.4)
    made = panels.designer(people, file, response=uplift, lang="zh", **ASSUMED)
    made.controls["spend_1"].value = 400
    assert f"programme={file}" in made.hand.value
    assert "uplift=0.0:0.0,0.05:0.02" in made.hand.value
    assert made.controls["spend_1"].description == "银卡：消费门槛（元）"
    assert made.result.simulation.verdict == "tiers.simulation.on"


def test_what_no_readout_can_ask_is_not_handed_over_and_the_panel_says_so(people, file):
    """A command without programme= would take the dataset's own, another one."""
    as_it_is = panels.designer(people, tiers.load_programme(file), **ASSUMED)
    as_it_is.controls["spend_1"].value = 400
    assert as_it_is.result is not None
    assert as_it_is.hand.value == f"<p>{label('panel.tiers.no_file', 'en')}</p>"
    near = tiers.Response(beta=((0.0, 0.0), (0.05, 0.02)), gamma=(0.2, 0.0))
    nearer = panels.designer(people, file, response=near, lang="zh", **ASSUMED)
    assert nearer.hand.value == f"<p>{label('panel.tiers.no_gamma', 'zh')}</p>"
    for made in (as_it_is, nearer):
        assert "growth readout" not in made.hand.value


def test_one_replication_has_no_intervals_and_still_a_panel(people, file):
    made = panels.designer(people, file, **ASSUMED | {"replications": 1})
    made.controls["spend_1"].value = 400
    assert made.picture.value.count("<svg") == 2
    assert "NaN" not in made.picture.value
    assert {one.headline for one in made.result.differences} == {None}


def test_who_or_what_cannot_be_designed_for_is_refused(people, file):
    with pytest.raises(
        ParameterError, match="people is a NoneType; it must be"
    ) as info:
        panels.designer(None, file, **ASSUMED)
    assert info.value.code == "bad_population"
    words = "programme is 5; it must be a Programme, or the path of its file"
    with pytest.raises(ParameterError, match=words) as info:
        panels.designer(people, 5, **ASSUMED)
    assert info.value.code == "bad_programme"


def test_assumptions_out_of_range_are_refused_at_once(people, file):
    made = panels.designer(people, file, margin_rate=30, redemption=0.1)
    assert made.result is None
    assert "margin_rate" in made.status.view.value
    with pytest.raises(ParameterError, match=r"gone\.toml"):
        panels.designer(people, "gone.toml", **ASSUMED)


def test_of_many_members_a_part_is_tried_and_the_panel_says_so(people, file):
    panel = panels.designer(people, file, members=80, **ASSUMED)
    assert panel.result.simulation.members == 80
    assert "80 of 200 members" in panel.card.value
    same = tiers.Population.sample(people, 80, seed=1)
    now = tiers.load_programme(file)
    whole = tiers.compare(same, {"now": now, "new": now}, seed=1, **ASSUMED)
    assert panel.result.differences == whole.differences
