import json
from pathlib import Path

import numpy as np
import pytest

from growth import synth
from growth.errors import ParameterError
from growth.synth.units import arm_of, bucket

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "abtest.json"


def _case(name):
    cases = json.loads(GOLDEN.read_text("utf-8"))["cases"]
    return next(case for case in cases if case["id"] == name)


def test_bucket_is_the_hash_that_assignment_uses():
    case = _case("hash-sha256")
    for given, want in zip(case["input"], case["expected"], strict=True):
        unit = np.array([given["unit"].encode()])
        got = bucket(unit, layer=given["layer"], salt=given["salt"])
        assert got.tolist() == [want]


def test_effects_are_recovered_over_a_hundred_seeds():
    away = []
    for seed in range(100):
        piece = synth.experiment(seed=seed, units=800, lift={"treatment": 0.2})
        rows = piece.data.to_pandas()
        rows["orders_per_session"] = rows["orders"] / rows["sessions"].mean()
        arms = rows.groupby("variant")[list(piece.truth["effect"])]
        se = (arms.var() / arms.count()).sum() ** 0.5
        seen = arms.mean().loc["treatment"] - arms.mean().loc["control"]
        want = {m: e["treatment"] for m, e in piece.truth["effect"].items()}
        away.append([(seen[m] - want[m]) / se[m] for m in want])
    z = np.array(away)
    assert (np.abs(z.mean(axis=0)) < 4 / np.sqrt(100)).all()
    assert ((z.std(axis=0) > 0.75) & (z.std(axis=0) < 1.3)).all()


def test_covariate_has_the_planted_correlation_and_history_helps():
    rows = synth.experiment(seed=2, units=20_000, correlation=0.7).data.to_pandas()
    assert np.corrcoef(rows["score"], rows["pre_score"])[0, 1] == pytest.approx(
        0.7, abs=0.02
    )
    assert np.corrcoef(rows["paid_fen"], rows["pre_paid_fen"])[0, 1] > 0.02


def test_lost_units_break_the_split_and_nulls_are_null():
    piece = synth.experiment(
        seed=4, units=20_000, lost={"treatment": 0.1}, null_rate=0.3
    )
    rows = piece.data.to_pandas()
    n = rows["variant"].value_counts()
    chi2 = (n["control"] - n["treatment"]) ** 2 / n.sum()
    assert chi2 > 10.83  # p < 0.001 at one degree of freedom
    assert rows["score"].isna().mean() == pytest.approx(0.3, abs=0.02)
    assert rows["unit_id"].is_unique


def test_weights_and_three_arms():
    piece = synth.experiment(
        seed=1, units=30_000, arms={"a": 2, "b": 1, "c": 0}, lift={"b": 0.5}
    )
    share = piece.data.to_pandas()["variant"].value_counts(normalize=True)
    assert share["a"] == pytest.approx(2 / 3, abs=0.012)
    assert share["c"] == 0
    assert piece.truth["lift"] == {"a": 0.0, "b": 0.5, "c": 0.0}


def test_every_arm_owns_its_range():
    place = np.array([0.0, 0.4999, 0.5, 0.7499, 0.75, 0.9999])
    weights = {"a": 2, "b": 1, "c": 1}
    assert arm_of(place, weights).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"lift": {"x": 0.1}}, "unknown_arm", "name one of those"),
        ({"arms": {"a": 0, "b": 0}}, "bad_weights", "one above 0"),
        ({"arms": {"a": -1, "b": 1}}, "bad_weights", "weights must be"),
        ({"pay_rate": 0.9}, "out_of_range", "pay_rate is 0.9"),
    ],
)
def test_refuses_what_cannot_be(wrong, code, words):
    with pytest.raises(ParameterError, match=words) as caught:
        synth.experiment(seed=1, units=10, **wrong)
    assert caught.value.code == code
