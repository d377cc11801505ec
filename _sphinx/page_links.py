"""Links from a page to its notebook, to where that runs, to its source, and to the PDF."""

from typing import NamedTuple
from urllib.parse import quote, urlencode

import notebooks
import repository

BOOK = "book.pdf"  # which tools/build.py prints from the pages


class Link(NamedTuple):
    """A link of a page."""

    text: str
    url: str


def notebook_links(app, docname, relative):
    """Links to a lecture's notebook; relative makes an address of a file of the site."""
    path, executed = notebooks.path_of(docname), notebooks.path_of(docname, executed=True)
    results = relative(f"{notebooks.FOLDER}/{executed}")
    yield Link("Download notebook", relative(f"{notebooks.FOLDER}/{path}"))
    if app.repository and app.repository.is_public:
        name, branch = app.repository.name, repository.NOTEBOOKS_BRANCH
        colab = f"https://colab.research.google.com/github/{name}/blob/{branch}/{path}"
        yield Link("Open in Colab", colab)
        binder = f"https://mybinder.org/v2/gh/{name}/{branch}?urlpath=lab/tree/{path}"
        yield Link("Open in Binder", binder)
        results = f"https://nbviewer.org/github/{name}/blob/{branch}/{executed}"
    yield Link("Notebook with results", results)


def source_links(app, docname):
    """Links to a page's source and to where one says what is wrong with it."""
    if not app.repository:
        return
    url, branch = app.repository.url, quote(app.repository.branch)
    path = quote(app.env.doc2path(docname, base=False))
    title = urlencode({"title": f"{app.env.titles[docname].astext()}: "})
    yield Link("View source", f"{url}/blob/{branch}/{path}")
    yield Link("Suggest an edit", f"{url}/edit/{branch}/{path}")
    yield Link("Report an issue", f"{url}/issues/new?{title}")


def add_links(app, pagename, templatename, context, doctree):
    """Give the template a page's links; the landing page has those of all notebooks."""
    if doctree is None:
        return

    def relative(path):
        return context["pathto"](path, resource=True)

    book = Link("Whole book as PDF", relative(BOOK))
    lectures = notebooks.lectures(app)
    if pagename in lectures:
        links = [*notebook_links(app, pagename, relative), book, *source_links(app, pagename)]
        context["page_links"] = links
    elif pagename == app.config.root_doc:
        context["lecture_links"] = [
            (app.env.titles[name].astext(), app.builder.get_relative_uri(pagename, name),
             list(notebook_links(app, name, relative)))
            for name in lectures
        ]  # fmt: skip
        context["archive"] = relative(notebooks.ARCHIVE)
        context["page_links"] = [book, *source_links(app, pagename)]
    else:
        context["page_links"] = [book]


def setup(app):
    app.setup_extension("repository")
    app.connect("html-page-context", add_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
