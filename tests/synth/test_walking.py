import numpy as np
import pytest

from growth import synth
from growth.errors import ParameterError


def test_step_rates_are_recovered_over_a_hundred_seeds():
    away = []
    for seed in range(100):
        piece = synth.funnel(seed=seed, users=400)
        rows = piece.data.to_pandas()
        steps = piece.truth["steps"]
        reached = rows.groupby("event")["user_id"].nunique().reindex(steps)
        assert reached.tolist() == piece.truth["reached"]
        n, p = reached.to_numpy()[:-1], np.array(piece.truth["rate_from_previous"][1:])
        away.append((reached.to_numpy()[1:] - n * p) / np.sqrt(n * p * (1 - p)))
    z = np.array(away)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert 0.85 < z.std() < 1.15


def test_steps_come_in_order_with_the_planted_median():
    plan = synth.Walk(("a", "b", "c"), (1.0, 1.0), (60_000, 3_600_000), 0.5)
    rows = synth.funnel(seed=5, users=4_000, plan=plan, noise=()).data.to_pandas()
    wide = rows.pivot_table(index="user_id", columns="event", values="ts")
    for start, stop, median in (("a", "b", 60), ("b", "c", 3_600)):
        took = (wide[stop] - wide[start]).dt.total_seconds()
        assert (took > 0).all()
        assert took.median() == pytest.approx(median, rel=4 * 1.2533 * 0.5 / 63)


def test_noise_is_outside_the_funnel():
    rows = synth.funnel(seed=1, users=10, noise=("scroll", "tap")).data.to_pandas()
    counts = rows["event"].value_counts()
    assert (counts["scroll"], counts["tap"], counts["page_view"]) == (10, 10, 10)


@pytest.mark.parametrize(
    ("steps", "rates", "medians"),
    [(("a",), (), ()), (("a", "b"), (1.5,), (1,)), (("a", "b"), (0.5,), ())],
)
def test_refuses_steps_that_do_not_fit(steps, rates, medians):
    with pytest.raises(ParameterError, match="must be 2\\+ steps"):
        synth.Walk(steps, rates, medians)
