"""The lectures' code for the tests: the code cells of the notebooks that the site offers."""

import os
from contextlib import redirect_stdout
from pathlib import Path

import nbformat
import plotly.io as pio

NOTEBOOKS = Path(__file__).parent.parent / "_build" / "html" / "_notebooks"


def run_code_cells(lecture):
    """Names that a lecture's notebook defines, after all its code cells ran in order."""
    notebook = nbformat.read(NOTEBOOKS / f"{lecture}.ipynb", as_version=4)
    names = {"__name__": "__main__"}
    renderer, pio.renderers.default = pio.renderers.default, "json"
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            for number, cell in enumerate(notebook.cells):
                if cell.cell_type == "code":
                    exec(compile(cell.source, f"{lecture}, cell {number}", "exec"), names)
    finally:
        pio.renderers.default = renderer
    return names
