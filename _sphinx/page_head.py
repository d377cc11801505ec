"""Write what search engines and chat programs read of a page: Open Graph data and a sitemap.

A page's description is the `description` under `myst: html_meta:` of its source, else its
first paragraph. The picture is the landing page's figure. Addresses are given where
`html_baseurl` tells them; the theme then gives the canonical one.
"""

import re
from html import escape, unescape
from urllib.parse import urlsplit

from docutils import nodes

from live_figures import live_figure, picture_address


def shared_picture(app):
    """The landing page's figure, or None if it has none."""
    doctree = app.env.get_doctree(app.config.root_doc)
    return next(doctree.findall(live_figure), None)


def add_open_graph(app, pagename, templatename, context, doctree):
    """Add Open Graph's <meta>s to a page of the book."""
    if doctree is None:
        return
    if found := re.search(r'<meta content="([^"]*)" name="description"', context["metatags"]):
        description = unescape(found[1])
    else:
        paragraph = next(doctree.findall(nodes.paragraph), nodes.paragraph())
        description = " ".join(paragraph.astext().split())
        context["metatags"] += f'\n    <meta name="description" content="{escape(description)}">'
    properties = {
        "og:type": "website" if pagename == app.config.root_doc else "article",
        "og:site_name": app.config.project,
        "og:title": re.sub("<[^>]*>", "", unescape(context["title"])),
        "og:description": description,
    }
    if address := app.config.html_baseurl:
        properties["og:url"] = context["pageurl"]
        if figure := shared_picture(app):
            properties["og:image"] = address.rstrip("/") + "/" + picture_address(figure)
    context["metatags"] += "".join(
        f'\n    <meta property="{name}" content="{escape(value)}">'
        for name, value in properties.items()
    )


def add_base(app, pagename, templatename, context, doctree):
    """Tell the 404 page, which is shown at any depth, where the site starts."""
    if pagename == "404":
        context["base"] = urlsplit(app.config.html_baseurl).path.rstrip("/") + "/"


def write_sitemap(app, exception):
    """List the pages of the book, if their address is known."""
    if exception or app.builder.name != "html" or not app.config.html_baseurl:
        return
    base = app.config.html_baseurl.rstrip("/")
    pages = [f"{base}/{app.builder.get_target_uri(name)}" for name in sorted(app.env.found_docs)]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
        *(f"  <url><loc>{escape(page)}</loc></url>" for page in pages),
        "</urlset>",
    ]
    (app.outdir / "sitemap.xml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def setup(app):
    app.connect("html-page-context", add_open_graph)
    app.connect("html-page-context", add_base)
    app.connect("build-finished", write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
