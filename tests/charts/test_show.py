import altair as alt
import pytest

from growth.charts import enable
from growth.charts.theme import finish

CHART = finish(
    alt.Chart(alt.InlineData(values=[{"x": 1}])).mark_point().encode(x="x:Q"),
    name="a",
    title="t",
    description="d",
)


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    monkeypatch.delenv("GROWTH_RUN_DIR", raising=False)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    before = alt.renderers.active
    yield
    alt.renderers.enable(before)


def test_a_run_shows_safe_svg(monkeypatch):
    monkeypatch.setenv("GROWTH_RUN_DIR", "somewhere")
    monkeypatch.setenv("JPY_SESSION_NAME", "x.ipynb")
    assert enable() == "readout"
    bundle = CHART._repr_mimebundle_()
    assert list(bundle) == ["text/html"]
    assert bundle["text/html"].startswith("<svg")
    assert 'role="img"' in bundle["text/html"]


def test_jupyterlab_shows_live_charts_from_this_machine(monkeypatch):
    pytest.importorskip("anywidget", reason="anywidget draws the live charts")
    monkeypatch.setenv("JPY_SESSION_NAME", "x.ipynb")
    assert enable() == alt.renderers.active == "jupyter"
    assert alt.renderers.options["offline"] is True
    # its editor would send the data to a page elsewhere
    menu = alt.renderers.options["embed_options"]["actions"]
    assert menu == {"export": True, "source": False, "editor": False}


def test_without_the_widget_jupyterlab_gets_svg(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "x.ipynb")
    monkeypatch.setattr("growth.charts.show.find_spec", lambda _: None)
    assert enable() == "svg"


def test_anywhere_else_it_is_svg():
    assert enable() == alt.renderers.active == "svg"
    assert "image/svg+xml" in CHART._repr_mimebundle_()
