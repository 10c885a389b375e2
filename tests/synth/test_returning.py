import numpy as np
import pandas as pd
import pytest

from growth import synth
from growth.errors import ParameterError


def _rates(piece, days):
    rows = piece.data.to_pandas()
    rows["day"] = (rows["ts"] + pd.Timedelta(hours=8)).dt.floor("D")
    joined = rows[rows["event"] == "register"].set_index("user_id")["day"]
    seen = rows[rows["event"] == "app_launch"]
    age = (seen["day"] - seen["user_id"].map(joined)).dt.days
    left = days - 1 - (joined - rows["day"].min()).dt.days
    sizes = np.array([(left >= k).sum() for k in range(days)])
    return np.bincount(age, minlength=days), sizes


def test_curve_is_recovered_over_a_hundred_seeds():
    away = []
    for seed in range(100):
        piece = synth.retention(seed=seed, users=300, days=10)
        kept, sizes = _rates(piece, 10)
        p = np.array(piece.truth["curve"])
        sd = np.sqrt(sizes[1:9] * p[1:9] * (1 - p[1:9]))
        away.append((kept[1:9] - sizes[1:9] * p[1:9]) / sd)
    z = np.array(away)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert 0.85 < z.std() < 1.15


def test_own_curve_of_zeros_and_ones_comes_back_exactly():
    curve = [1, 0, 1, 0]
    piece = synth.retention(seed=3, users=200, days=4, curve=curve)
    kept, sizes = _rates(piece, 4)
    assert kept.tolist() == [200, 0, sizes[2], 0]
    assert sum(piece.truth["cohort_sizes"]) == 200


def test_power_curve_falls_from_its_first_value():
    curve = synth.power_curve(31, first=0.3, decay=0.65)
    assert curve[0] == 1
    assert curve[1] == pytest.approx(0.3)
    assert curve[7] == pytest.approx(0.3 * 4**-0.65)
    assert (np.diff(curve) < 0).all()


def test_another_seed_gives_other_users():
    one, two = (synth.retention(seed=s, users=50).data for s in (1, 2))
    assert one.equals(synth.retention(seed=1, users=50).data)
    ids = [set(data["user_id"].unique().to_pylist()) for data in (one, two)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"curve": [0.5, 0.2]}, "the first 1"),
        ({"curve": [1.0]}, "it must have 2 shares"),
        ({"curve": [1.0, 1.2]}, "shares in 0..1"),
        ({"users": 0}, "users is 0"),
    ],
)
def test_refuses_a_curve_that_does_not_fit(wrong, words):
    with pytest.raises(ParameterError, match=words):
        synth.retention(**({"seed": 1, "days": 2} | wrong))
