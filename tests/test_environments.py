"""The notebooks run, unmodified, where readers run them: on Colab's packages, old and new ones.

Each environment is made anew by uv, and runs the notebooks through an nbclient of its own.
Colab's is part of `make test`; `make test-notebooks` runs them all.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "_build" / "html" / "_notebooks"
LECTURES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
LISTS = Path(__file__).parent / "environments"
UV = Path(sys.executable).with_name("uv")
PLOTLY_JSON = "application/vnd.plotly.v1+json"
SUPPORTED = ("3.13", "3.12", "3.11")  # the newest first

RUN = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], as_version=4)
try:
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
finally:
    nbformat.write(notebook, sys.argv[2])
"""

# Other versions add float32 numbers in another order, and training carries that on; where all
# but rounding has cancelled, nothing of a number is left to compare.
TOLERANCE = {"rtol": 0.05, "atol": 1e-6}


def answers(*command):
    """What a command prints, or "" if it can't."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@functools.cache
def find_python(version):
    """Path of a Python that runs and has this version, or None; a shim may be there and not run."""
    places = [Path(folder, f"python{version}") for folder in os.get_exec_path()]
    places.append(Path(sys.executable))
    if latest := answers("pyenv", "latest", version):
        places.append(Path(answers("pyenv", "prefix", latest), "bin", "python"))
    places.append(answers(UV, "python", "find", "--managed-python", version))
    for place in filter(os.path.isfile, places):
        if answers(place, "-c", "import sys; print('%d.%d' % sys.version_info[:2])") == version:
            return place
    return None


def python(version):
    """That Python; the test is skipped without it."""
    return find_python(version) or pytest.skip(f"no Python {version} runs on this machine")


class Environment:
    """A new virtual environment, and nothing of this one around it."""

    def __init__(self, interpreter, *requirements):
        self.holder = tempfile.TemporaryDirectory()  # goes when the environment does
        self.folder = Path(self.holder.name)
        subprocess.run([UV, "venv", "--quiet", "--python", interpreter, self.folder], check=True)
        self.python = self.folder / "bin" / "python"
        self.surroundings = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.defpath}",
            "HOME": str(self.folder),
        }
        self.install(*requirements)

    def install(self, *requirements):
        command = [UV, "pip", "install", "--quiet", "--python", self.python, *requirements]
        subprocess.run(command, check=True)

    def be_colab(self):
        """Look like Colab to Plotly, which asks for the package, or for the variable since 7.0."""
        [packages] = self.folder.glob("lib/python*/site-packages")
        (packages / "google" / "colab").mkdir(parents=True)
        (packages / "google" / "colab" / "__init__.py").touch()
        self.surroundings["COLAB_NOTEBOOK_ID"] = "a-notebook"
        return self

    def run(self, lecture):
        """The lecture's notebook after this environment has run it, and what went wrong."""
        executed = self.folder / "executed.ipynb"
        downloaded = shutil.copy(NOTEBOOKS / f"{lecture}.ipynb", self.folder)
        command = [self.python, "-c", RUN, downloaded, executed]
        answer = subprocess.run(
            command, cwd=self.folder, env=self.surroundings, capture_output=True, text=True
        )
        notebook = nbformat.read(executed, as_version=4)
        return notebook, answer.stderr if answer.returncode else ""


def text_of(cell):
    """What a cell prints, without figures."""
    outputs = (o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs
               if not {"text/html", PLOTLY_JSON} & o.get("data", {}).keys())  # fmt: skip
    return " ".join("".join(outputs).split())


def check(environment, lecture, shows):
    """Run a lecture: no error, the page's results, and a figure where the page has one."""
    notebook, error = environment.run(lecture)
    assert not error, error
    page = nbformat.read(NOTEBOOKS / "executed" / f"{lecture}.ipynb", as_version=4)
    number = re.compile(r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?")
    figures = compared = 0
    for cell, on_page in zip(notebook.cells, page.cells, strict=True):
        if cell.cell_type != "code":
            continue
        assert not [
            o for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"
        ]
        if any(PLOTLY_JSON in output.get("data", {}) for output in on_page.outputs):
            [_] = [output for output in cell.outputs if shows(output.get("data", {}))]
            figures += 1
        elif on_page.outputs and "devices(" not in cell.source:
            found, expected = text_of(cell), text_of(on_page)
            assert number.sub("#", found) == number.sub("#", expected)
            values = [[float(n) for n in number.findall(text)] for text in (found, expected)]
            np.testing.assert_allclose(*values, **TOLERANCE, err_msg=found)
            compared += len(values[0])
    assert figures > 0 and compared > 0


def is_live_html(data):
    """Whether a figure comes as a page of its own, as Colab shows it."""
    return "Plotly.newPlot" in data.get("text/html", "")


def is_live_json(data):
    """Whether a figure comes as what JupyterLab and VS Code draw."""
    return bool(data.get(PLOTLY_JSON, {}).get("data"))


def test_there_are_lectures():
    assert "back_prop" in LECTURES


@functools.cache
def colab():
    """Colab's packages on Colab's Python, 3.13; without one here, on the newest there is."""
    interpreter = next(filter(None, map(find_python, SUPPORTED)))
    return Environment(interpreter, "-r", LISTS / "colab.txt").be_colab()


@pytest.mark.parametrize("lecture", LECTURES)
def test_colab(lecture):
    check(colab(), lecture, is_live_html)


@pytest.mark.parametrize("lecture", LECTURES)
def test_missing_package_is_named_with_the_line_that_installs_it(lecture):
    environment = Environment(sys.executable, "ipykernel", "nbclient", "nbformat")
    notebook, error = environment.run(lecture)
    assert error
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    [failure] = [o for o in cells[0].outputs if o.output_type == "error"]
    assert failure.ename == "ModuleNotFoundError"
    assert re.search(r"\bjax\b", failure.evalue.split("pip install")[0])
    [line] = re.findall(r"^\s*pip install (.+)$", failure.evalue, re.M)
    assert {"jax", "plotly"} <= set(line.split())


@pytest.mark.every_environment
@pytest.mark.parametrize("lecture", LECTURES)
def test_the_line_that_the_first_cell_names_is_enough(lecture):
    environment = Environment(sys.executable, "ipykernel", "nbclient")
    notebook, _ = environment.run(lecture)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    [line] = re.findall(r"^\s*pip install (.+)$", first.outputs[-1].evalue, re.M)
    environment.install(*line.split())
    check(environment, lecture, lambda data: is_live_json(data) or is_live_html(data))


@pytest.mark.every_environment
@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("lecture", LECTURES)
def test_newest_versions(lecture, version):
    check(Environment(python(version), "-r", LISTS / "newest.txt"), lecture, is_live_json)


@pytest.mark.every_environment
@pytest.mark.parametrize("lecture", LECTURES)
def test_oldest_versions_that_the_readme_promises(lecture):
    promised = (LISTS / "oldest.txt").read_text()
    readme = (ROOT / "README.md").read_text("utf-8")
    for name, version in re.findall(r"^(jax|plotly)==(\d+\.\d+(?:\.\d+)?)", promised, re.M):
        assert re.search(rf"{name} {re.escape(version)}\b", readme, re.I), f"{name} {version}"
    check(Environment(python("3.11"), "-r", LISTS / "oldest.txt"), lecture, is_live_json)


@pytest.mark.every_environment
@pytest.mark.parametrize("lecture", LECTURES)
def test_what_comes_with_the_notebooks_is_enough(lecture):
    requirements = NOTEBOOKS / "requirements.txt"
    check(Environment(sys.executable, "-r", requirements), lecture, is_live_json)
