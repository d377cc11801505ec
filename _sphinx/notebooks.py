"""Make a clean notebook of every lecture, for Jupyter, Colab and Binder.

In the site's folder _notebooks, which publishing also writes to a branch of the repository:
  <lecture>.ipynb            without outputs: what a reader downloads or launches
  executed/<lecture>.ipynb   with the page's outputs and pictures: for those who only look
  requirements.txt, environment.yml
                             what the notebooks import, at the versions they were executed with
and beside it notebooks.zip, with all but the executed ones.

The same source gives the same bytes.
"""

import ast
import json
import sys
import zipfile
from base64 import b64encode
from importlib.metadata import packages_distributions, version
from pathlib import Path, PurePosixPath

import nbformat
from docutils.nodes import fully_normalize_name
from myst_nb.core.utils import coalesce_streams
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from doctree_markdown import Cell, page_blocks
from live_figures import PLOTLY_JSON, executed_cells, picture

FOLDER = "_notebooks"
ARCHIVE = "notebooks.zip"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# How JupyterLab and Colab know that the source is folded away.
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
JUPYTER = "jupyterlab"  # what a reader opens a notebook with


def path_of(docname, executed=False):
    """Where a lecture's notebook is, from the folder of the notebooks."""
    return f"{'executed/' if executed else ''}{PurePosixPath(docname).name}.ipynb"


def page_notebook(app, docname):
    """Path of the notebook that MyST-NB keeps of a page; absent if the page has no cells."""
    return Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"


def lectures(app):
    """Names of the pages that are notebooks, in the order of the book."""
    pages = app.env.collect_relations()
    return [name for name in pages if page_notebook(app, name).exists()]


def note(app, docname):
    """What a notebook says of itself below its title."""
    title = app.env.titles[docname].astext()
    if app.config.html_baseurl:
        url = f"{app.config.html_baseurl.rstrip('/')}/{app.builder.get_target_uri(docname)}"
        title = f"[{title}]({url})"
    return (
        f"*This notebook is the lecture {title} of {app.config.html_title}, "
        f"{app.source_version}. "
        "Text: [CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/). "
        "Code: [BSD-3-Clause](https://opensource.org/license/bsd-3-clause).*"
    )


def convert(app, doctree, docname):
    """Keep a page's text as Markdown until the site is whole."""
    if app.builder.name == "html" and page_notebook(app, docname).exists():
        app.notebook_blocks[docname] = page_blocks(app, doctree, docname, note(app, docname))


def cells_of(app, docname):
    """Cells of the notebook: the page's text and all of the code, with its outputs."""
    cells, text = [], []
    executed = executed_cells(app, docname)
    code_cells = {i: cell for i, cell in enumerate(executed) if cell.cell_type == "code"}

    def end_text():
        if text:
            cells.append(new_markdown_cell("\n\n".join(text)))
            text.clear()

    def add_code(index, folded):
        source = code_cells.pop(index)
        shown = not {"remove-output", "remove-cell"} & set(source.metadata.get("tags", ()))
        cells.append(
            new_code_cell(
                source.source,
                metadata=FOLDED if folded else {},
                outputs=outputs_of(app, docname, source) if shown else [],
                execution_count=source.execution_count,
            )
        )

    for block in app.notebook_blocks[docname]:
        if isinstance(block, str):
            text.append(block)
            continue
        end_text()
        if isinstance(block, Cell):
            for unseen in [i for i in code_cells if i < block.index]:  # it isn't on the page,
                add_code(unseen, folded=True)  # but what comes after may need it
            add_code(*block)
    end_text()
    for unseen in list(code_cells):
        add_code(unseen, folded=True)
    for number, cell in enumerate(cells, 1):
        cell.id = f"cell-{number}"
    return cells


def outputs_of(app, docname, cell):
    """Outputs of a cell without what depends on how a kernel happened to send them.

    A figure has its picture beside it, for those who show no live ones, GitHub among them.
    """
    outputs = coalesce_streams(cell.outputs)
    for output in outputs:
        if "metadata" in output:
            output.metadata = {}
        if PLOTLY_JSON in output.get("data", {}):
            name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name", "")
            if png := picture(app, docname, fully_normalize_name(name)):
                output.data["image/png"] = b64encode(png.read_bytes()).decode()
    return outputs


def clear(cells):
    """Leave the cells as if nobody had run them."""
    for cell in cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)


def write_notebook(path, cells):
    """Write a valid notebook."""
    notebook = new_notebook(cells=cells, metadata=METADATA)
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def imported(path):
    """Names of the packages that a notebook's cells import."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.Import):
                yield from (name.name.partition(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module.partition(".")[0]


def requirements(notebooks):
    """What to install for the notebooks, with the versions that executed them."""
    owners = packages_distributions()
    names = {owners[name][0] for path in notebooks for name in imported(path)
             if name not in sys.stdlib_module_names}  # fmt: skip
    return "".join(f"{name}=={version(name)}\n" for name in sorted(names | {JUPYTER}))


def write_archive(path, folder, files):
    """Zip files of a folder, with nothing in it that depends on the time or the machine."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(f"notebooks/{file.relative_to(folder)}")
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)


def write(app, exception):
    """Write the notebooks of the pages that have changed, and what goes with them all."""
    if exception or app.builder.name != "html":
        return
    folder = Path(app.outdir, FOLDER)
    names = lectures(app)
    for docname in set(names) & set(app.notebook_blocks):
        cells = cells_of(app, docname)
        write_notebook(folder / path_of(docname, executed=True), cells)
        clear(cells)
        write_notebook(folder / path_of(docname), cells)
    for path in folder.rglob("*.ipynb"):  # of lectures that are no more
        if str(path.relative_to(folder)) not in {path_of(n, e) for n in names for e in (0, 1)}:
            path.unlink()
    notebooks = sorted(folder.glob("*.ipynb"))
    (folder / "requirements.txt").write_text(requirements(notebooks))
    environment = folder / "environment.yml"
    environment.write_text(Path(app.srcdir, "environment.yml").read_text())
    files = [*notebooks, folder / "requirements.txt", environment]
    write_archive(Path(app.outdir, ARCHIVE), folder, files)


def setup(app):
    app.setup_extension("repository")
    app.notebook_blocks = {}
    app.connect("doctree-resolved", convert)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
