"""Set the mathematics with KaTeX while the site is built, so that a page needs no script for it.

Each formula becomes KaTeX's HTML, with MathML beside it for screen readers. KaTeX runs in
one Node.js process, ended with the build; a formula that it rejects is a warning, with its
place in the source.

Chosen over MathJax after measuring both on the lecture (see CONTRIBUTING.md): the page is
complete at its first paint, and lighter.
"""

import json
import subprocess
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
HERE = Path(__file__).parent

RENDER_LINES = """
const katex = require("katex");
require("readline").createInterface({input: process.stdin}).on("line", line => {
  const [tex, displayMode] = JSON.parse(line);
  let answer;
  try { answer = {html: katex.renderToString(tex, {displayMode, strict: "error"})}; }
  catch (error) { answer = {error: error.message}; }
  console.log(JSON.stringify(answer));
});
"""

# A page that was opened as a file may not ask for fonts in this way, and needs no head start.
PRELOAD = """if (location.protocol !== "file:") for (const href of %s) {
      const link = document.createElement("link");
      Object.assign(link, {rel: "preload", as: "font", type: "font/woff2", crossOrigin: "", href});
      document.head.append(link);
    }"""


def render(app, node, display):
    """KaTeX's HTML of a math node; what it rejects is logged and shown as TeX."""
    if app.katex is None:
        app.katex = subprocess.Popen(
            ["node", "--eval", RENDER_LINES],
            cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
    app.katex.stdin.write(json.dumps([node.astext(), display]) + "\n")
    app.katex.stdin.flush()
    answer = json.loads(app.katex.stdout.readline())
    if "error" in answer:
        logger.warning("%s\n%s", answer["error"], node.astext(), location=node)
    return answer.get("html", node.astext())


def visit_math(translator, node):
    """Inline mathematics."""
    translator.body.append(
        f'<span class="math">{render(translator.builder.app, node, False)}</span>'
    )


def visit_math_block(translator, node):
    """A displayed equation, with its number to the right; wide ones scroll in their own box."""
    # The theme wraps an equation in a box that takes its anchors: they stay unique.
    anchors = [anchor for anchor in node["ids"] if anchor not in node.parent["ids"]]
    outer = {"ids": anchors, "classes": []}
    translator.body.append(translator.starttag(outer, "div", CLASS="math"))
    html = render(translator.builder.app, node, True)
    translator.body.append(f'<div class="equation">{html}</div>')
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")


def skip_children(visit):
    """A visitor that leaves the node's text, which is TeX, out of the page."""

    def visit_and_skip(translator, node):
        visit(translator, node)
        raise nodes.SkipNode

    return visit_and_skip


def add_fonts(app, pagename, templatename, context, doctree):
    """Give a page with formulas their style, and the fonts that all have before it is set."""
    if doctree is None or not any(doctree.findall(is_math)):
        return
    app.add_css_file("katex.min.css")
    fonts = [
        context["pathto"](f"_static/fonts/KaTeX_{font}.woff2", resource=True)
        for font in ("Main-Regular", "Math-Italic")
    ]
    context["metatags"] += f"\n    <script>{PRELOAD % json.dumps(fonts)}</script>"


def is_math(node):
    """Whether a node is a formula."""
    return isinstance(node, (nodes.math, nodes.math_block))


def end_katex(app, exception):
    """End the Node.js process, if one was started."""
    if app.katex is not None:
        app.katex.stdin.close()
        app.katex.wait()


def setup(app):
    app.katex = None
    app.add_html_math_renderer(
        "katex", (skip_children(visit_math), None), (skip_children(visit_math_block), None)
    )
    app.connect("html-page-context", add_fonts)
    app.connect("build-finished", end_katex)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
