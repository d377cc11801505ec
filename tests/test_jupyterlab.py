"""A downloaded notebook in a real JupyterLab: all cells run, and its figures are seen."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "_build" / "html" / "_notebooks"
LECTURES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
PLOTLY_JSON = "application/vnd.plotly.v1+json"
PATIENCE = 600_000  # milliseconds, for all cells; only a run that hangs takes so long

pytestmark = pytest.mark.every_environment


@pytest.fixture
def jupyterlab(tmp_path):
    """Address of a JupyterLab with nobody's settings, with the notebooks in its folder."""
    folders = ("CONFIG", "DATA", "RUNTIME")
    surroundings = os.environ | {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in folders}
    surroundings["IPYTHONDIR"] = str(tmp_path / "ipython")
    surroundings.pop("PLOTLY_RENDERER", None)
    work = shutil.copytree(NOTEBOOKS, tmp_path / "work")
    options = ["--no-browser", "--allow-root", "--port=0", f"--ServerApp.root_dir={work}"]
    command = [Path(sys.executable).with_name("jupyter"), "lab", *options]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(command, env=surroundings, stdout=log, stderr=log)
    try:
        while not (records := list((tmp_path / "RUNTIME").glob("jpserver-*.json"))):
            assert server.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)
        record = json.loads(records[0].read_text())
        yield f"{record['url']}lab/tree/{{}}?token={record['token']}", work
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def page(browser):
    """A page of the browser that may reach the JupyterLab."""
    page = browser.new_page(viewport={"width": 1280, "height": 960})
    yield page
    page.close()


@pytest.mark.parametrize("lecture", LECTURES)
def test_all_cells_run_and_figures_are_seen(jupyterlab, page, lecture):
    address, folder = jupyterlab
    page.goto(address.format(f"{lecture}.ipynb"))
    page.locator(".jp-Toolbar-kernelName", has_text="Python 3").wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=busy]").wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=PATIENCE)
    page.keyboard.press("Control+s")
    page.locator(".jp-mod-dirty").wait_for(state="detached")

    saved = nbformat.read(folder / f"{lecture}.ipynb", as_version=4)
    code = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    figures = [output for output in outputs if PLOTLY_JSON in output.get("data", {})]
    drawn = page.locator(".js-plotly-plot .main-svg:first-child")
    assert drawn.count() == len(figures) > 0
    for figure in drawn.all():
        assert figure.bounding_box()["height"] > 100
    assert page.locator("mjx-container").count() > 20
    assert page.locator("mjx-merror").count() == 0


def test_a_reference_leads_to_its_equation(jupyterlab, page):
    address, _ = jupyterlab
    page.goto(address.format("back_prop.ipynb"))
    page.locator(".jp-Toolbar-kernelName", has_text="Python 3").wait_for()
    reference = page.locator("a[href='#equation-eq-recursion']").last
    reference.scroll_into_view_if_needed()
    place = page.locator("[data-jupyter-id=equation-eq-recursion]")
    assert place.bounding_box()["y"] < 0
    reference.click()
    page.wait_for_function(
        "place => place.getBoundingClientRect().y > 0", arg=place.element_handle()
    )
