"""The directive `build-record`: what the site was built from, with what, and how long it took.

All of it is read from the build's own records: those that the kernels wrote while they executed
the notebooks (kernel_startup/record_executions.py), the installed packages, and git.
"""

import json
import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parent.parent
BEGUN = time.time()
SLOWEST = 5  # cells shown of each lecture


class BuildRecord(nodes.General, nodes.Element):
    """Where the record goes; filled in when all pages are read, and so all notebooks executed."""


class BuildRecordDirective(SphinxDirective):
    def run(self):
        self.env.note_reread()  # the page is of this build, not of the last
        return [BuildRecord()]


def executions(app):
    """The record of each lecture that has code: {docname: record}."""
    records = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in Path(os.environ["EXECUTIONS"]).glob("*.json")
    ]
    found = {}
    for docname in sorted(app.env.found_docs):
        if app.env.nb_metadata[docname].get("exec_data", {}).get("succeeded"):
            notebook = Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"
            cells = nbformat.read(notebook, as_version=4).cells
            sources = [cell.source for cell in cells if cell.cell_type == "code" and cell.source]
            of_it = [r for r in records if [cell["source"] for cell in r["cells"]] == sources]
            if of_it:
                found[docname] = max(of_it, key=lambda record: record["finished"])
            else:
                logger.warning("no record of its execution: make clean", location=docname)
    return found


def git(*arguments):
    """What git says, or None outside a repository."""
    answer = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    return None if answer.returncode else answer.stdout.strip()


def commit():
    """The commit that the site was built from."""
    name = git("rev-parse", "HEAD")
    if name is None:
        return "unknown: not built in a git repository"
    return f"{name}, with changes that are not committed" if git("status", "--porcelain") else name


def versions():
    """The direct dependencies with the versions that were in use."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [re.match(r"[\w.-]+", line).group() for line in lines if re.match(r"\w", line)]
    katex = json.loads((ROOT / "_sphinx/node_modules/katex/package.json").read_text())
    installed = [(name, version(name)) for name in names]
    return [("Python", platform.python_version()), *installed, ("katex", katex["version"])]


def moment(seconds):
    """A time in words that are the same everywhere."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def table(header, rows):
    """A table of docutils, of strings and nodes."""

    def row_of(cells):
        row = nodes.row()
        for cell in cells:
            content = cell if isinstance(cell, nodes.Node) else nodes.Text(str(cell))
            row += nodes.entry("", nodes.paragraph("", "", content))
        return row

    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    group += nodes.thead("", row_of(header))
    group += nodes.tbody("", *[row_of(row) for row in rows])
    return nodes.table("", group)


def section(title, *content):
    """A section with a heading that can be linked to."""
    return nodes.section("", nodes.title("", title), *content, ids=[nodes.make_id(title)])


def link(app, fromdocname, docname):
    """The title of a page, as a link to it."""
    uri = app.builder.get_relative_uri(fromdocname, docname)
    return nodes.reference("", app.env.titles[docname].astext(), refuri=uri, internal=True)


def first_line(source):
    """A cell's first line that says something."""
    lines = [line for line in source.splitlines() if line.strip()]
    return nodes.literal("", next((x for x in lines if not x.startswith(("#", "%"))), lines[0]))


def summary(record):
    """When and where a lecture was executed, as cells of a table."""
    seconds = sum(cell["seconds"] for cell in record["cells"])
    results = "from the cache" if record["finished"] < BEGUN else "from this build"
    executed = moment(record["finished"])
    return executed, record["device"], len(record["cells"]), f"{seconds:.1f}", results


def slowest(record):
    """The cells that took longest, as rows of a table."""
    cells = sorted(enumerate(record["cells"], 1), key=lambda cell: -cell[1]["seconds"])
    return [
        (n, first_line(cell["source"]), f"{cell['seconds']:.2f}") for n, cell in cells[:SLOWEST]
    ]


def fill_in(app, doctree, docname):
    """Put the record where the directive stands."""
    for place in list(doctree.findall(BuildRecord)):
        records = executions(app)
        executed = [
            (link(app, docname, page), *summary(record)) for page, record in records.items()
        ]
        slow = [
            (link(app, docname, page), *row)
            for page, record in records.items()
            for row in slowest(record)
        ]
        place.replace_self([
            nodes.paragraph("", f"Built on {moment(time.time())}, from commit {commit()}."),
            section(
                "Executed notebooks",
                table(["lecture", "executed", "on", "cells", "seconds", "results"], executed),
            ),
            section("Slowest cells", table(["lecture", "cell", "first line", "seconds"], slow)),
            section("Versions", table(["package", "version"], versions())),
        ])  # fmt: skip


def setup(app):
    app.add_node(BuildRecord)
    app.add_directive("build-record", BuildRecordDirective)
    app.connect("doctree-resolved", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
