import time

import numpy as np
import pytest

from growth.stats.quadrature import gauss_legendre


@pytest.mark.parametrize("count", [1, 16, 40, 160])
def test_nodes_match_numpy(count):
    nodes, weights = gauss_legendre(count)
    want, mass = np.polynomial.legendre.leggauss(len(nodes))
    assert count <= len(nodes) < count + 16
    assert nodes == pytest.approx((want + 1) / 2, rel=1e-13, abs=1e-15)
    assert weights == pytest.approx(mass / 2, rel=1e-10)


def test_many_nodes_integrate_and_come_quickly():
    start = time.perf_counter()
    nodes, weights = gauss_legendre(2500)
    assert time.perf_counter() - start < 5  # an eigenvalue solver takes minutes
    assert weights.sum() == pytest.approx(1, rel=1e-12)
    assert weights @ np.exp(nodes) == pytest.approx(np.e - 1, rel=1e-13)
    assert weights @ np.cos(3000 * nodes) == pytest.approx(
        np.sin(3000) / 3000, rel=1e-9
    )
