"""Leave style sheets and scripts that the site doesn't need out of its pages.

Extensions add theirs to every page, some without a setting not to. The setting `left_out` has
the patterns of their file names.
"""

from fnmatch import fnmatch


def leave_out(app, pagename, templatename, context, doctree):
    """Take them off a page's lists."""
    for kind in ("css_files", "script_files"):
        context[kind] = [
            file
            for file in context[kind]
            if not any(fnmatch(str(file.filename), f"*{name}*") for name in app.config.left_out)
        ]


def setup(app):
    app.add_config_value("left_out", [], "html")
    app.connect("html-page-context", leave_out, priority=900)  # when all have added theirs
    return {"parallel_read_safe": True, "parallel_write_safe": True}
