import numpy as np
import pytest

from growth.tiers import kernels, keyed
from tests.tiers import golden


def test_splitmix64_gives_the_published_outputs():
    given, expected = golden.given("splitmix64_known")
    state = np.array([given["state"]], np.uint64)
    steps = [np.uint64(k * keyed.G & keyed.MASK) for k in (1, 2, 3)]
    got = [int(keyed.mix(state + step)[0]) for step in steps]
    assert got == [int(v) for v in expected["values"]]


def test_keyed_draws_are_golden_in_numpy_and_compiled():
    given, expected = golden.given("counter_draws")
    for key, word, u in zip(
        given["keys"], expected["hex"], expected["uniform"], strict=True
    ):
        seed, replication, member, day, stream = key
        h = keyed.key(seed, replication, [member])
        drawn = keyed.draw(h, day, stream)
        assert hex(int(drawn[0])) == word
        assert keyed.uniform(drawn)[0] == u
        compiled = kernels.key_of(keyed.signed(seed), replication, member)
        assert int(compiled) == int(h[0])
        assert kernels.uniform_of(np.uint64(compiled), day, stream) == u


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**70 + 3])
def test_every_seed_is_taken_modulo_2_to_the_64(seed):
    compiled = int(kernels.key_of(keyed.signed(seed), 4, 9))
    assert compiled == int(keyed.key(seed, 4, [9])[0])
    assert compiled == int(keyed.key(seed % 2**64, 4, [9])[0])
    assert -(2**63) <= keyed.signed(seed) < 2**63
    assert keyed.signed(seed) == seed or seed >= 2**63


def test_a_day_before_1970_is_a_key_too():
    h = keyed.key(3, 0, [5])
    assert kernels.uniform_of(h[0], -1, 2) == keyed.uniform(keyed.draw(h, -1, 2))[0]


def test_streams_are_numbered_once_and_below_64():
    names = {k: v for k, v in vars(keyed).items() if k.isupper() and isinstance(v, int)}
    others = {"G", "MASK", "M1", "M2", "STREAMS", "TYPE_CHECKING"}
    streams = {k: v for k, v in names.items() if k not in others}
    assert len(set(streams.values())) == len(streams) > 20
    assert max(streams.values()) < keyed.STREAMS


def test_draws_look_uniform():
    u = keyed.uniform(keyed.draw(keyed.key(1, 2, np.arange(200_000)), 9, 4))
    counts = np.bincount((u * 20).astype(int), minlength=20)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 43.8  # chi-square, 19, p = .001
