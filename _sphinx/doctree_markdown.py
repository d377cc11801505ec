"""Write a resolved page as Markdown that plain Jupyter, Colab and GitHub render.

`page_blocks` starts from the doctree that the HTML page is made of, so that every number
and every reference is the page's. It gives a list of text blocks, code cells and breaks
between cells; `notebooks` makes the notebook of them.

Two libraries were looked at first. sphinx-tojupyter 0.6.0 is a builder of its own, so that its
numbers are not the page's, makes headings of admonitions' titles, and links equations to places
that no notebook has; sphinx-markdown-builder 0.6.11 knows no admonitions that fold, no numbered
equations and no code cells. Either would have to be overridden in most of what is here.
"""

import base64
import html
import mimetypes
import re
from functools import singledispatchmethod
from itertools import chain, groupby, repeat
from pathlib import Path
from textwrap import indent
from typing import NamedTuple
from urllib.parse import quote, urljoin

from docutils import nodes
from sphinx import addnodes
from sphinx.locale import admonitionlabels
from sphinx.util import logging
from sphinxcontrib.bibtex.transforms import node_text_transform

from live_figures import live_figure, picture

logger = logging.getLogger(__name__)

# Environments that number their own lines; inside $$ their unnumbered parts stand for them.
INNER_ENVIRONMENT = {"align": "aligned", "gather": "gathered", "equation": "gathered"}
# What Markdown would take for markup: inside a line, and where a line starts.
MARKUP = re.compile(
    r"\\(?=[!-/:-@[-`{-~])|[`$]|\*(?!\s)|(?<!\s)\*|\b_\B|\B_\b"
    r"|<(?=[\w/!?])|&(?=#?\w+;)|~~|](?=\()"
)
LINE_START = re.compile(
    r"^(\s*)(#+(?=\s|$)|>|[+-](?=\s)|=+$|-+$)|^(\s*\d+)([.)])(?=\s)", re.MULTILINE
)

LINKS = nodes.reference, addnodes.number_reference, nodes.footnote_reference


class Cell(NamedTuple):
    """The code cell that has this index in the executed notebook."""

    index: int
    folded: bool


class Break:
    """Here a new cell of text begins."""


def page_blocks(app, doctree, docname, note):
    """The page as a list of str, Cell and Break; the note goes below its title."""
    return _Page(app, doctree, docname).write_page(doctree, note)


def escape(text):
    """Text with the signs escaped that Markdown would take for markup."""
    text = MARKUP.sub(r"\\\g<0>", text)
    return LINE_START.sub(_escape_line_start, text)


def _escape_line_start(match):
    indent_or_number = match[1] if match[2] else match[3]
    return f"{indent_or_number}\\{match[2] or match[4]}"


def quoted(text):
    """A block quotation."""
    return indent(text, "> ", lambda line: True).replace("> \n", ">\n")


def anchor(id_):
    """A place to link to; Colab goes by the name, the others by the id."""
    return f'<a id="{html.escape(id_)}" name="{html.escape(id_)}"></a>'


def link(text, url):
    """A link; the angle brackets keep parentheses in the address together."""
    return f"[{text}](<{url}>)" if re.search(r"[()\s]", url) else f"[{text}]({url})"


def code_fence(code, fence="`"):
    """A run of the fence sign that is longer than any in the code."""
    return fence * max(1 + len(run) for run in re.findall(f"{fence}*", code))


def one_line(tex):
    """TeX without comments and line breaks, safe inside quotations, lists and tables."""
    return " ".join(line.strip() for line in without_comments(tex))


def without_comments(tex):
    """Lines of TeX without comments and without empty lines, which would end the formula."""
    lines = (re.sub(r"(?<!\\)%.*", "", line).rstrip() for line in tex.splitlines())
    return [line for line in lines if line.strip()]


class _Page:
    """What writing one page needs to know, and a method for each kind of node."""

    def __init__(self, app, doctree, docname):
        self.app, self.env, self.docname = app, app.env, docname
        self.level = 0
        base = app.config.html_baseurl
        self.url = base and urljoin(base, app.builder.get_target_uri(docname))
        self.cited = {}
        self.citations = self._citations()
        self.linked = {
            node.get("refid") or node.get("refuri", "").partition("#")[2]
            for node in doctree.findall(lambda node: isinstance(node, LINKS))
            if "refid" in node or node.get("refuri", "").startswith("#")
        }
        self.anchored = set()

    # Pages

    def write_page(self, doctree, note):
        self.note = note
        blocks = self.write(doctree)
        if self.cited:
            entries = "\n".join(
                f"- {anchor(key)}{text}" for key, text in sorted(self.cited.items())
            )
            blocks += [Break, f"## References\n\n{entries}"]
        return blocks

    def write(self, node):
        """The blocks of a node, with the places in it that something links to."""
        anchors = self._anchors(node)
        blocks = self.block(node)
        if not anchors:
            return blocks
        if blocks and blocks[0] is Break:
            return [Break, anchors, *blocks[1:]]
        return [anchors, *blocks]

    def children(self, node):
        """The blocks of all that a node holds."""
        return [block for child in node.children for block in self.write(child)]

    def text(self, node):
        """What a node holds, as one piece of inline Markdown."""
        return "".join(self._anchors(child) + self.inline(child) for child in node.children)

    def _anchors(self, node):
        if not isinstance(node, nodes.Element):
            return ""
        ids = [i for i in node["ids"] if i in self.linked and i not in self.anchored]
        self.anchored.update(ids)
        return "".join(map(anchor, ids))

    def number(self, node):
        """What a figure, table, listing or exercise is called, “Fig. 1”; "" if it has no number."""
        kind = self.env.get_domain("std").get_enumerable_node_type(node)
        numbers = self.env.toc_fignumbers.get(self.docname, {}).get(kind, {})
        for id_ in node["ids"]:
            if id_ in numbers:
                return self.app.config.numfig_format[kind] % ".".join(map(str, numbers[id_]))
        return ""

    def caption(self, node, title):
        """Number and text of a figure, table or listing."""
        return f"**{self.number(node)}** {self.text(title)}".replace("****", "").strip()

    # Where links go

    def _citations(self):
        """By the address that the page links to: the key of a source and its entry."""
        domain = self.env.domains.get("cite")
        return {
            self.app.builder.get_relative_uri(self.docname, citation.bibliography_key.docname)
            + f"#{citation.citation_id}": (citation, domain.backend)
            for citation in (domain.citations if domain else ())
            if citation.bibliography_key.docname != self.docname
        }

    def address(self, node):
        """Where a reference leads to from the notebook; None if nowhere."""
        if "refid" in node:
            return "#" + quote(node["refid"])
        uri = html.unescape(node.get("refuri", ""))  # MyST escapes it once more than HTML needs
        if not node.get("internal") or uri.startswith("#"):
            return uri
        if uri in self.citations:
            return "#" + quote(self._cite(uri))
        return urljoin(self.url, uri) if self.url else None

    def _cite(self, uri):
        """The key of a source; its entry will be in the notebook's list."""
        citation, backend = self.citations[uri]
        if citation.key not in self.cited:
            entry = backend.paragraph(citation.formatted_entry)
            node_text_transform(entry)
            self.cited[citation.key] = self.text(entry)
        return citation.key

    # Blocks

    @singledispatchmethod
    def block(self, node):
        """Blocks of a node that is a paragraph or more, or of inline nodes without one."""
        return [self._anchors(node) + self.inline(node)]

    @block.register(nodes.Text)
    def _(self, node):
        return [escape(node.astext())] if node.astext().strip() else []

    @block.register(nodes.document)
    @block.register(nodes.compound)
    @block.register(nodes.definition_list)
    @block.register(addnodes.glossary)
    @block.register(addnodes.versionmodified)
    def _(self, node):
        return [] if "toctree-wrapper" in node["classes"] else self.children(node)

    @block.register(nodes.comment)
    @block.register(nodes.meta)
    @block.register(nodes.raw)
    @block.register(nodes.substitution_definition)
    @block.register(addnodes.index)
    @block.register(addnodes.tabular_col_spec)
    def _(self, node):
        return []

    @block.register(nodes.target)
    def _(self, node):
        return [inner] if (inner := self.text(node)) else []

    @block.register(nodes.section)
    def _(self, node):
        if isinstance(node.parent, nodes.Admonition):  # an exercise's body has no heading
            return self.children(node)
        self.level += 1
        blocks = self.children(node)
        self.level -= 1
        return [Break, *blocks]

    @block.register(nodes.title)
    def _(self, node):
        heading = f"{'#' * self.level} {self.text(node)}"
        return [heading, self.note, Break] if self.level == 1 else [heading]

    @block.register(nodes.paragraph)
    def _(self, node):
        text = self.text(node)
        return [text] if text.strip() else []

    @block.register(nodes.rubric)
    def _(self, node):
        return [f"**{self.text(node)}**"]

    @block.register(nodes.transition)
    def _(self, node):
        return [] if "footnotes" in node["classes"] else ["***"]

    @block.register(nodes.block_quote)
    def _(self, node):
        return self.wrap(self.children(node), quoted)

    @block.register(nodes.attribution)
    def _(self, node):
        return [f"— {self.text(node)}"]

    @block.register(nodes.line_block)
    def _(self, node):
        lines = node.findall(nodes.line)
        return ["  \n".join(self.text(line) for line in lines)]

    @block.register(nodes.bullet_list)
    @block.register(nodes.enumerated_list)
    def _(self, node):
        first = node.get("start", 1)
        items = []
        for number, item in enumerate(node.children, first):
            marker = "- " if isinstance(node, nodes.bullet_list) else f"{number}. "
            body = indent("\n\n".join(self.write(item)), " " * len(marker))
            items.append(marker + body[len(marker) :])
        return ["\n\n".join(items) if any("\n\n" in item for item in items) else "\n".join(items)]

    @block.register(nodes.list_item)
    @block.register(nodes.definition)
    def _(self, node):
        return self.children(node)

    @block.register(nodes.definition_list_item)
    def _(self, node):
        terms = " ".join(
            f"{self._anchors(term)}**{self.text(term)}**" for term in node.findall(nodes.term)
        )
        definition = "\n\n".join(self.children(next(node.findall(nodes.definition))))
        return [f"- {terms}\n\n{indent(definition, '  ')}"]

    @block.register(nodes.field_list)
    def _(self, node):
        fields = (
            (self.text(name), "\n\n".join(self.children(body))) for name, body in node.children
        )
        return ["\n".join(f"- **{name}:** {indent(body, '  ').strip()}" for name, body in fields)]

    @block.register(nodes.literal_block)
    def _(self, node):
        code, language = node.astext().rstrip("\n"), node.get("language", "")
        language = {"ipython3": "python", "default": "", "none": ""}.get(language, language)
        fence = max("```", code_fence(code), key=len)
        return [f"{fence}{language}\n{code}\n{fence}"]

    @block.register(nodes.math_block)
    def _(self, node):
        tex = node.astext()
        for name, inner in INNER_ENVIRONMENT.items():
            tex = re.sub(rf"\\(begin|end){{{name}\*?}}", rf"\\\1{{{inner}}}", tex)
        if node.get("label") and node["number"]:
            tex += f"\n\\tag{{{node['number']}}}"
        ancestor = node.parent
        while isinstance(ancestor, nodes.container):
            ancestor = ancestor.parent
        if isinstance(ancestor, (nodes.section, nodes.document)) and self.level:
            return ["\n".join(["$$", *without_comments(tex), "$$"])]
        return [f"$${one_line(tex)}$$"]

    @block.register(nodes.image)
    def _(self, node):
        return [self.inline(node)]

    @block.register(nodes.figure)
    @block.register(nodes.legend)
    def _(self, node):
        return self.children(node)

    @block.register(nodes.caption)
    def _(self, node):
        return [self.caption(node.parent, node)]

    @block.register(nodes.footnote)
    def _(self, node):
        label, *body = node.children
        return [f"{label.astext()}. " + "\n\n".join(b for child in body for b in self.write(child))]

    @block.register(nodes.citation)
    def _(self, node):
        label, *body = node.children
        text = " ".join(b for child in body for b in self.write(child))
        return [f"{escape('[')}{escape(label.astext())}] {text}"]

    @block.register(nodes.Admonition)
    @block.register(nodes.topic)
    @block.register(nodes.sidebar)
    def _(self, node):
        title = next((child for child in node.children if isinstance(child, nodes.title)), None)
        label = self.number(node) or admonitionlabels.get(node.tagname, "")
        body = [b for child in node.children if child is not title for b in self.write(child)]
        if "dropdown" in node["classes"]:
            summary = html.escape(label + (plain(title) if title else ""), quote=False)
            return self.fold(body, summary)
        heading = label + (self.text(title) if title else "")
        return self.wrap([f"**{heading}**", *body] if heading else body, quoted)

    @block.register(nodes.container)
    def _(self, node):
        if node.get("nb_element") == "cell_code":
            return self.code_cell(node)
        return self.children(node)

    def code_cell(self, node):
        """A cell, and below it the captions of the figures that it shows."""
        blocks = [Cell(node["cell_index"], "hide-input" in node["cell_metadata"].get("tags", ()))]
        for figure in node.findall(nodes.figure):
            captions = [self.caption(figure, child) for child in figure.findall(nodes.caption)]
            blocks += [self._anchors(figure) + " ".join(captions), Break]
        return blocks

    def wrap(self, blocks, wrapper):
        """Blocks with the wrapper around each run of text; cells can't be inside one."""
        wrapped = []
        for is_text, run in groupby(blocks, lambda block: isinstance(block, str)):
            run = list(run)
            wrapped += [wrapper("\n\n".join(run))] if is_text else run
        return wrapped

    def fold(self, blocks, summary):
        """Blocks out of sight until a reader opens them, the code cells too."""
        blocks = [
            block._replace(folded=True) if isinstance(block, Cell) else block for block in blocks
        ]
        summaries = chain([summary], repeat(f"{summary}, continued"))
        lead = [f"**{next(summaries)}**"] if isinstance(blocks[0], Cell) else []
        return lead + self.wrap(
            blocks,
            lambda text: f"<details>\n<summary>{next(summaries)}</summary>\n\n{text}\n\n</details>",
        )

    @block.register(nodes.table)
    def _(self, node):
        title = next(node.findall(nodes.title), None)
        head = [row for part in node.findall(nodes.thead) for row in part.children]
        body = [row for part in node.findall(nodes.tbody) for row in part.children]
        lines = [[self.table_entry(entry) for entry in row.children] for row in [*head[:1], *body]]
        if not head:
            lines.insert(0, [""] * len(lines[0]))
        width = max(map(len, lines))
        aligned = {"text-left": ":---", "text-right": "---:", "text-center": ":---:"}
        marks = [
            next((aligned[c] for c in entry["classes"] if c in aligned), "---")
            for entry in body[0].children
        ]
        lines.insert(1, marks)
        rows = [f"| {' | '.join(line + [''] * (width - len(line)))} |" for line in lines]
        return [*([self.caption(node, title)] if title else []), "\n".join(rows)]

    def table_entry(self, entry):
        """A cell of a table, which is one line; bars inside it are escaped."""
        text = "<br>".join(self.children(entry)).replace("\n", "<br>")
        return re.sub(r"(?<!\\)\|", r"\\|", text)

    # Inside a line

    @singledispatchmethod
    def inline(self, node):
        logger.warning(
            "Notebooks: no Markdown is known for a node <%s>.", node.tagname, location=node
        )
        return escape(node.astext())

    @inline.register(nodes.Text)
    def _(self, node):
        return escape(node.astext())

    @inline.register(nodes.inline)
    @inline.register(nodes.generated)
    @inline.register(nodes.paragraph)
    @inline.register(nodes.target)
    @inline.register(nodes.title_reference)
    def _(self, node):
        return self.text(node)

    @inline.register(nodes.raw)
    def _(self, node):
        is_break = "html" in node["format"] and re.fullmatch(r"<br */?>\s*", node.astext())
        return "<br>" if is_break else ""

    @inline.register(nodes.comment)
    @inline.register(addnodes.index)
    def _(self, node):
        return ""

    @inline.register(nodes.emphasis)
    @inline.register(addnodes.literal_emphasis)
    def _(self, node):
        return f"*{self.text(node)}*"

    @inline.register(nodes.strong)
    @inline.register(addnodes.literal_strong)
    def _(self, node):
        return f"**{self.text(node)}**"

    @inline.register(nodes.literal)
    def _(self, node):
        code = node.astext()
        fence = code_fence(code)
        pad = " " if code.startswith("`") or code.endswith("`") else ""
        return f"{fence}{pad}{code}{pad}{fence}"

    @inline.register(nodes.subscript)
    def _(self, node):
        return f"<sub>{self.text(node)}</sub>"

    @inline.register(nodes.superscript)
    def _(self, node):
        return f"<sup>{self.text(node)}</sup>"

    @inline.register(nodes.abbreviation)
    def _(self, node):
        meaning = html.escape(node.get("explanation", ""))
        return f'<abbr title="{meaning}">{self.text(node)}</abbr>'

    @inline.register(nodes.math)
    def _(self, node):
        tex = one_line(node.astext())
        ancestor = node.parent
        while ancestor is not None and not isinstance(ancestor, nodes.entry):
            ancestor = ancestor.parent
        if ancestor is not None:  # in a table a bar ends the cell
            tex = tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
        return f"${tex}$"

    @inline.register(nodes.reference)
    @inline.register(addnodes.number_reference)
    def _(self, node):
        text, url = self.text(node), self.address(node)
        return link(text, url) if url else text

    @inline.register(addnodes.download_reference)
    def _(self, node):
        text = self.text(node)
        if "filename" not in node:
            return link(text, node["refuri"]) if "refuri" in node else text
        base = self.app.config.html_baseurl
        return link(text, urljoin(base, f"_downloads/{node['filename']}")) if base else text

    @inline.register(nodes.footnote_reference)
    def _(self, node):
        return f"<sup>{link(node.astext(), '#' + quote(node['refid']))}</sup>"

    @inline.register(nodes.image)
    def _(self, node):
        return embedded(Path(self.app.srcdir, node["uri"]), node.get("alt", ""))

    @inline.register(live_figure)
    def _(self, node):
        name = node["name"]
        path = picture(self.app, node.get("docname", self.docname), name)
        return embedded(path, name) if path else ""


def embedded(path, alt):
    """A picture that travels with the notebook."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f"![{escape(alt)}](data:{mimetypes.guess_type(path)[0]};base64,{data})"


def plain(node):
    """Text where Markdown is not read; formulas stay formulas."""
    if isinstance(node, nodes.math):
        return f"${node.astext()}$"
    return "".join(map(plain, node.children)) if node.children else node.astext()
