import threading

import pytest

from growth import engine
from growth.errors import ParameterError


def test_parts_come_back_in_their_order():
    assert list(engine.spread(lambda n: n * n, range(20), threads=3)) == [
        n * n for n in range(20)
    ]
    assert list(engine.spread(str, [])) == []


def test_parts_run_in_threads_of_which_there_are_so_many():
    gate = threading.Barrier(2, timeout=20)
    assert list(engine.spread(lambda _: gate.wait() >= 0, [1, 2], threads=2)) == [
        True,
        True,
    ]


def test_another_engine_is_refused():
    duck = engine.connect()
    with pytest.raises(ParameterError, match="to duckdb; work can be spread") as info:
        list(engine.spread(str, [1], connection=duck))
    assert info.value.code == "unsupported_on_engine"
