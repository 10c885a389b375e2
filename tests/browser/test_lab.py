"""The first guide in JupyterLab: run all, move a slider, and no stranger is asked."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from growth import lab, synth
from growth.readout.catalog import notebook
from growth.readout.places import WORKSPACE

pytestmark = pytest.mark.browser

TOKEN = "for-this-test"
LOOPBACK = {"127.0.0.1", "localhost"}
READY = """(() => {
    const held = window.jupyterapp.shell.currentWidget?.sessionContext;
    const kernel = held?.session?.kernel;
    return held?.isReady && kernel?.connectionStatus === 'connected'
        && kernel.status === 'idle';
})()"""
TITLE = ".jp-OutputArea .widget-html-content svg > title"


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright drives it")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """JupyterLab as `growth lab` starts it, on a copy of the notebooks."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    home = tmp_path_factory.mktemp("lab")
    ours = notebook("abtest_readout").parent
    shutil.copytree(ours, home / "notebooks")
    synth.sample(home / "data" / "sample", users=1000, days=56)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    more = [f"--IdentityProvider.token={TOKEN}", "--LabApp.expose_app_in_browser=True"]
    more += ["--ServerApp.port_retries=0"] + ["--allow-root"] * (os.geteuid() == 0)
    folder = lab.workspace(home / "notebooks")
    command = lab.command(folder, browser=False, port=port, more=more)
    own = {
        "HOME": str(home),
        WORKSPACE: str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "share"),
    }
    with (home / "log.txt").open("wb") as log:
        running = subprocess.Popen(
            command,
            env=lab.environment() | own,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            until = time.monotonic() + 40
            while not answers(f"{address}/api/status?token={TOKEN}"):
                assert running.poll() is None, (home / "log.txt").read_text()
                assert time.monotonic() < until, (home / "log.txt").read_text()
                time.sleep(0.1)
            yield address
        finally:
            running.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait(10)


def answers(address):
    try:
        with urlopen(address, timeout=2) as told:
            return told.status == 200
    except (URLError, OSError):
        return False


def test_run_all_then_a_slider_moves_the_chart(server, chromium):
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    tab = context.new_page()
    strangers = []

    def guard(route):
        if urlsplit(route.request.url).hostname in LOOPBACK:
            route.continue_()
        else:
            strangers.append(route.request.url)
            route.abort()

    context.route("**/*", guard)
    tab.goto(f"{server}/lab/tree/guides/01_first_steps.ipynb?token={TOKEN}")
    tab.locator(".jp-Notebook").wait_for()
    tab.wait_for_function(READY)
    # not awaited: its promise is kept only when every cell has run
    tab.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    chart = tab.locator(TITLE).first
    chart.wait_for(state="attached", timeout=50_000)
    assert (
        tab.locator("[data-mime-type*='stderr'], [data-mime-type*='error']").count()
        == 0
    )
    assert tab.locator(".growth-card").count() >= 2

    def drawn():
        return tab.locator(TITLE).first.inner_html()

    before = drawn()
    handle = tab.locator(".jp-OutputArea .noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    handle.press("End")
    tab.wait_for_function(
        "([place, was]) => document.querySelector(place).innerHTML !== was",
        arg=[TITLE, before],
    )
    assert drawn() != before
    # live charts of the guide are drawn by what this machine has
    assert tab.locator(".jp-OutputArea .vega-embed svg, .vega-embed canvas").count() > 0
    assert strangers == []
    if place := os.environ.get("GROWTH_SHOTS"):
        tab.screenshot(path=f"{place}/lab.png")
    context.close()
