import pytest

from growth.errors import ParameterError
from growth.readout import places


def test_a_relative_path_is_found_beside_the_notebooks_too(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_package", lambda: tmp_path / "growth")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")  # where JupyterLab runs a notebook
    assert places.located("data/sample") == str(tmp_path / "data" / "sample")
    assert places.located("nowhere/x") == "nowhere/x"
    assert places.located("postgres://a/b") == "postgres://a/b"
    assert places.located("/data/sample") == "/data/sample"
    monkeypatch.chdir(tmp_path)
    assert places.located("data/sample") == "data/sample"


def test_a_notebook_lies_in_the_checkout_or_in_the_wheel(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_package", lambda: tmp_path / "growth")
    with pytest.raises(ParameterError, match="is missing") as info:
        places.notebook_file("abtest_readout")
    assert info.value.code == "notebook_missing"
    wheel = tmp_path / "growth" / "_data" / "notebooks" / "abtest_readout.ipynb"
    wheel.parent.mkdir(parents=True)
    wheel.write_text("{}")
    assert places.notebook_file("abtest_readout") == wheel
    checkout = tmp_path / "notebooks" / "abtest_readout.ipynb"
    checkout.parent.mkdir()
    checkout.write_text("{}")
    assert places.notebook_file("abtest_readout") == checkout
