import math

import numpy as np
import pytest

from growth.tiers.intervals import Factor, Span, around, calibration, scaled_span


def test_the_next_value_falls_inside_nineteen_times_in_twenty():
    rng = np.random.default_rng(8)
    inside = 0
    for _ in range(2000):
        *seen, following = rng.normal(10, 3, 9)
        span = around(seen)
        inside += span.lo <= following <= span.hi
    assert 0.935 < inside / 2000 < 0.965
    assert around([4.0]) is None


def test_a_method_learns_from_its_own_errors():
    errors = [0.1, 0.2, 0.3]
    factor = calibration(errors)
    t = 4.302652729911275  # of 2 degrees, .975
    half = t * 0.1 * math.sqrt(4 / 3)
    assert factor.middle == pytest.approx(math.exp(-0.2))
    assert factor.lo == pytest.approx(math.exp(-0.2 - half))
    assert factor.hi == pytest.approx(math.exp(-0.2 + half))
    assert factor.origins == 3
    assert calibration(errors[:2]) is None


@pytest.mark.parametrize("span", [Span(2, 4), Span(-4, -2), Span(-1, 3), Span(0, 0)])
def test_a_calibrated_interval_is_never_the_narrower(span):
    wide = scaled_span(span, Factor(1.0, 0.5, 2.0, 5))
    assert wide.lo <= span.lo
    assert span.hi <= wide.hi
    sure = scaled_span(span, Factor(0.5, 0.49, 0.51, 5))  # a method known for twice
    assert sure.hi - sure.lo >= (span.hi - span.lo) * (1 - 1e-12)
    assert scaled_span(None, Factor(1, 1, 1, 3)) is None
    assert scaled_span(span, None) is None
