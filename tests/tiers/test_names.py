"""The room's names: loaded when asked for, hidden by nothing."""

import pkgutil

import pytest

from growth import tiers


def test_no_public_name_is_hidden_by_a_file_of_that_name():
    files = {info.name for info in pkgutil.iter_modules(tiers.__path__)}
    assert files & {*tiers.__all__} == {"generators", "programme", "response"}
    assert {*tiers.__all__} - {*tiers._HOME} == {*tiers._MODULES}


def test_every_public_name_resolves_and_a_misspelt_one_does_not():
    assert all(getattr(tiers, name) is not None for name in tiers.__all__)
    assert {*tiers.__all__} <= {*dir(tiers)}
    assert tiers.programme.load_programme is tiers.load_programme
    with pytest.raises(AttributeError, match=r"'growth.tiers' has no .* 'simulat'"):
        _ = tiers.simulat
