"""Fold what has the class `dropdown` with the browser's own <details>: solutions above all.

It needs no script, is reached and opened by keyboard, found by the browser's search in the
page, and is there, folded, when scripts are off.
"""

from docutils import nodes
from sphinx.locale import admonitionlabels
from sphinx.transforms.post_transforms import SphinxPostTransform


class folded(nodes.Admonition, nodes.Element):
    """An admonition that opens at its title."""


class fold_title(nodes.title):
    """The title, which a reader opens it with."""


class FoldAdmonitions(SphinxPostTransform):
    """Replace admonitions of the class `dropdown`, once their titles have been set."""

    default_priority = 900
    formats = ("html",)

    def run(self):
        for admonition in list(self.document.findall(nodes.Admonition)):
            if "dropdown" in admonition.get("classes", []):
                if not isinstance(admonition[0], nodes.title):  # a note or a tip has none
                    admonition.insert(0, nodes.title("", admonitionlabels[admonition.tagname]))
                title = admonition.pop(0)
                for link in list(title.findall(nodes.reference)):
                    link.replace_self(link.children)  # a click shall open the fold, not lead away
                fold = folded("", fold_title("", "", *title.children), *admonition.children)
                fold.update_all_atts_concatenating(admonition)
                fold["classes"] += ["admonition"]
                admonition.replace_self(fold)


def visit_folded(translator, node):
    translator.body.append(translator.starttag(node, "details"))


def depart_folded(translator, node):
    translator.body.append("</details>\n")


def visit_fold_title(translator, node):
    translator.body.append('<summary class="admonition-title">')


def depart_fold_title(translator, node):
    translator.body.append("</summary>\n")


def setup(app):
    app.add_node(folded, html=(visit_folded, depart_folded))
    app.add_node(fold_title, html=(visit_fold_title, depart_fold_title))
    app.add_post_transform(FoldAdmonitions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
