"""Give the entries of a bibliography the role of list items.

Docutils gives them one that ARIA has deprecated, which screen readers may not know.
"""


def replace_role(app, pagename, templatename, context, doctree):
    """Replace it in a page's HTML."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app):
    app.connect("html-page-context", replace_role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
