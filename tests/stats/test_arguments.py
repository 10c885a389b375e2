import numpy as np
import pytest

from growth.errors import ParameterError
from growth.stats.arguments import generator, names_of, whole


@pytest.mark.parametrize("value", [3, 3.0, np.int32(3), np.float64(3)])
def test_a_whole_number_comes_back_as_one(value):
    found = whole(value, "horizon", least=1, most=3)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize(
    "value", [0, 4, 2.5, float("nan"), float("inf"), True, "3", None, [3], 1j]
)
def test_anything_else_is_refused_by_name_and_value(value):
    with pytest.raises(ParameterError, match=r"^horizon is .*in 1\.\.3") as caught:
        whole(value, "horizon", least=1, most=3)
    assert repr(value) in str(caught.value)
    assert caught.value.code == "range"


def test_a_remedy_ends_the_message():
    with pytest.raises(ParameterError, match=r"0 or more; leave it out\.$"):
        whole(-1, "lag", least=0, remedy="leave it out")


def test_a_seed_gives_the_same_numbers_each_time():
    assert generator(7).integers(1 << 60) == generator(np.int64(7)).integers(1 << 60)
    assert generator(7).integers(1 << 60) == np.random.default_rng(7).integers(1 << 60)


@pytest.mark.parametrize("seed", [-1, None, 1.5, "1", float("nan"), [1, 2]])
def test_a_run_without_a_seed_is_refused(seed):
    with pytest.raises(ParameterError, match="seed is") as caught:
        generator(seed)
    assert caught.value.code == "bad_seed"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("scene", ("scene",)),
        (["a", "b", "a"], ("a", "b", "a")),
        ({"a": 1}, ("a",)),
        ((), ()),
        (None, ()),
    ],
)
def test_names_come_as_one_as_several_or_not_at_all(given, found):
    assert names_of(given, "by") == found


@pytest.mark.parametrize("given", [1, 0.5, True, object])
def test_what_is_no_name_is_refused(given):
    with pytest.raises(ParameterError, match=r"by is .* list of names") as caught:
        names_of(given, "by")
    assert caught.value.code == "bad_names"
