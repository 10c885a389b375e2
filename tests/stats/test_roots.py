from math import cos, exp, inf, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.stats.roots import bracketed_root


@pytest.mark.parametrize(
    ("f", "low", "high", "root"),
    [
        (lambda x: x * x - 2, 0, 2, 2**0.5),
        (lambda x: exp(x) - 5, 10, -10, 1.6094379124341003),
        (lambda x: cos(x) - x, 0, 1, 0.7390851332151607),
        (lambda x: inf if x > 1 else x - 0.3, 0, 2, 0.3),
        (lambda x: -inf if x <= 0 else x - 0.25, 0, 1, 0.25),
        (lambda x: 1e-300 * (x - 0.1), 0, 1, 0.1),
        (lambda x: (x > 0.6) - 0.5, 0, 1, 0.6),
        (lambda x: x, 0, 1, 0.0),
        (lambda x: x - 1, 0, 1, 1.0),
    ],
)
def test_roots_are_found(f, low, high, root):
    assert bracketed_root(f, low, high) == pytest.approx(root, rel=1e-12, abs=0)


def test_one_sign_at_both_ends_has_no_root():
    assert isnan(bracketed_root(lambda x: x * x + 1, -1, 1))


@given(st.floats(-100, 100), st.floats(0.01, 5))
def test_steep_and_flat_functions_are_found_too(root, steep):
    got = bracketed_root(lambda x: (x - root) ** 3 * steep, root - 7, root + 11)
    assert got == pytest.approx(root, abs=1e-6)
