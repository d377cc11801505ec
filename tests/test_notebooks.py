"""The notebooks that readers download: clean Markdown, nothing lost, no dead link, same bytes.

Looked at are the site's lectures and a small book that uses every construct.
"""

import ast
import base64
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote, urljoin

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

import small_book

SITE = small_book.ROOT / "_build" / "html"
FORK = "https://reader.github.io/a-fork/"
LECTURES = [path.stem for path in sorted(SITE.glob("_notebooks/*.ipynb"))]
markdown = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, allow_labels=False)


class Converted:
    """A page and its notebook."""

    def __init__(self, site, name):
        self.path = site / "_notebooks" / f"{name}.ipynb"
        self.executed_path = site / "_notebooks" / "executed" / f"{name}.ipynb"
        self.notebook = nbformat.read(self.path, as_version=nbformat.NO_CONVERT)
        self.text = [c.source for c in self.notebook.cells if c.cell_type == "markdown"]
        self.code = [c for c in self.notebook.cells if c.cell_type == "code"]
        # As a reader sees it: each cell rendered on its own, one below the other.
        html = "\n".join(markdown.render(source) for source in self.text)
        self.soup = BeautifulSoup(html, "html.parser")
        page = (site / "lectures" / f"{name}.html").read_text("utf-8")
        self.page = BeautifulSoup(page, "html.parser").article
        self.url = f"lectures/{name}.html"


@pytest.fixture(scope="module", params=["plain", "fork", *LECTURES])
def converted(request):
    """The book's page where no address is known, and in a fork's CI; the site's lectures."""
    if request.param == "plain":
        return Converted(small_book.without_address().site, "constructs")
    if request.param == "fork":
        return Converted(small_book.with_address().site, "constructs")
    return Converted(SITE, request.param)


@pytest.fixture(scope="module")
def plain():
    return Converted(small_book.without_address().site, "constructs")


@pytest.fixture(scope="module")
def fork():
    return Converted(small_book.with_address().site, "constructs")


def words(element):
    """Text without formulas, spaces and line breaks; what one sees, whatever sets it."""
    copy = BeautifulSoup(str(element), "html.parser")
    for formula in copy.select(".math, .eqno, .headerlink, .sd-d-none"):
        formula.decompose()
    return re.sub(r"\W+", "", copy.get_text())


def test_there_are_lectures():
    assert "back_prop" in LECTURES


def test_notebook_is_valid_and_opens_with_any_python3_kernel(converted):
    for path in (converted.path, converted.executed_path):
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3"
        ids = [cell.id for cell in notebook.cells]
        assert len(ids) == len(set(ids))


def test_nothing_of_myst_is_left(converted):
    for source in converted.text:
        tokens = [t for token in markdown.parse(source) for t in [token, *(token.children or ())]]
        for token in tokens:
            if token.type in ("text", "html_block", "html_inline"):
                assert not re.search(r"\{[\w:-]+\}|^:::|^\(.*\)=$", token.content, re.M), source
                assert not re.search(r"(?<!\\)\$\$|\*\*|\\begin", token.content), source
            if token.type == "fence":
                assert "{" not in token.info, source


def test_text_of_the_page_is_in_the_notebook(converted):
    in_notebook = words(converted.soup)
    for page_part in converted.page.select(".page-links, .cell, .highlight, .math, nav, style"):
        page_part.decompose()
    paragraphs = converted.page.select("p, h1, h2, h3, h4, li, dt, td, th, figcaption")
    assert len(paragraphs) > 20
    for paragraph in paragraphs:
        for nested in paragraph.select(
            "ul, ol, dl, a.headerlink, .headerlink, .backrefs, a.fn-backref"
        ):
            nested.decompose()
        assert words(paragraph) in in_notebook


def test_formulas_and_their_numbers_are_the_pages(converted):
    tags = re.findall(r"\\tag\{(\w+)\}", "\n".join(converted.text))
    eqnos = [e.get_text() for e in fresh(converted).select(".eqno")]
    numbers = [re.search(r"\((\w+)\)", eqno)[1] for eqno in eqnos]
    assert tags == numbers and tags
    displayed = "\n".join(converted.text).count("$$")
    assert displayed == 2 * len(fresh(converted).select("div.math"))


def fresh(converted):
    """The page's article as built."""
    page = converted.path.parent.parent / converted.url
    return BeautifulSoup(page.read_text("utf-8"), "html.parser").article


def test_no_link_is_dead(converted):
    places = {e["id"] for e in converted.soup.find_all(id=True)}
    links = [a["href"] for a in converted.soup.find_all("a", href=True)]
    assert any(link.startswith("#") for link in links)
    for link in links:
        if link.startswith("#"):
            assert unquote(link[1:]) in places, f"nothing is called {link}"
        else:
            assert re.match(r"https?://\w", link), f"{link} leads nowhere from a notebook"


def test_references_say_what_they_say_on_the_page(converted):
    in_notebook = [words(a) for a in converted.soup.find_all("a", href=re.compile("^#"))]
    for reference in fresh(converted).select("a.reference.internal[href^='#']"):
        if not reference.find_parent(class_="solution") and not reference.find_parent(["aside"]):
            assert words(reference) in in_notebook


def test_links_to_other_pages_lead_to_the_published_site(fork):
    links = {a["href"] for a in fork.soup.find_all("a", href=True)}
    assert urljoin(FORK, "lectures/other.html#equation-eq-other") in links
    assert urljoin(FORK, "lectures/other.html") in links
    [download] = [link for link in links if link.startswith(urljoin(FORK, "_downloads/"))]
    assert (fork.path.parent.parent / download.removeprefix(FORK)).exists()


def test_headings_start_at_one_and_do_not_jump(converted):
    levels = [int(h.name[1]) for h in converted.soup.find_all(re.compile("^h[1-6]$"))]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_first_cell_says_what_this_is(converted):
    first = markdown.render(converted.text[0])
    title = fresh(converted).h1
    title.find(class_="headerlink").decompose()
    assert converted.notebook.cells[0].source == converted.text[0]
    assert words(title) in words(first)
    assert "creativecommons.org/licenses/by-sa/4.0" in first and "BSD-3-Clause" in first
    assert "version" in first


def test_first_cell_links_to_the_page(fork, plain):
    assert f"({urljoin(FORK, fork.url)})" in fork.text[0]
    assert plain.url not in plain.text[0]


def test_first_cell_names_the_commit():
    book = small_book.in_a_checkout()
    head = (book.folder / ".git" / "HEAD").read_text().split()[-1]
    commit = (book.folder / ".git" / head).read_text().strip()
    assert commit[:10] in Converted(book.site, "constructs").text[0]


def test_code_is_the_pages_and_has_no_tags_of_the_site(converted):
    shown = [c.get_text().rstrip() for c in fresh(converted).select(".cell_input pre")]
    code = [cell.source for cell in converted.code]
    assert shown and [source for source in code if source in shown] == shown
    for cell in converted.code:
        assert not cell.metadata.keys() - {"jupyter", "cellView"}
        ast.parse(cell.source)


def test_code_that_the_page_hides_is_there_in_its_place(plain):
    sources = [cell.source for cell in plain.code]
    hidden = sources.index("needed_later = 1")
    assert hidden < next(i for i, s in enumerate(sources) if "needed_later + 1" in s)


def test_download_has_no_outputs_and_the_executed_one_has_the_pages(converted):
    assert all(not cell.outputs and cell.execution_count is None for cell in converted.code)
    executed = nbformat.read(converted.executed_path, as_version=nbformat.NO_CONVERT)
    assert [c.source for c in executed.cells] == [c.source for c in converted.notebook.cells]
    outputs = [output for c in executed.cells if c.cell_type == "code" for output in c.outputs]
    streams = "".join(o.text for o in outputs if o.output_type == "stream")
    for printed in fresh(converted).select(".cell_output .stream pre"):
        assert printed.get_text().strip() in streams
    assert "not on the page" not in streams


def test_figures_are_live_and_have_their_pictures_beside(converted):
    executed = nbformat.read(converted.executed_path, as_version=nbformat.NO_CONVERT)
    outputs = [o for cell in executed.cells if "outputs" in cell for o in cell.outputs]
    figures = [o.data for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
    shown = fresh(converted).select(".cell figure")
    assert len(figures) == len(shown) > 0
    for figure in figures:
        assert base64.b64decode(figure["image/png"]).startswith(b"\x89PNG")


def test_figures_of_cells_have_their_captions_below(plain):
    cells = plain.notebook.cells
    [index] = [i for i, cell in enumerate(cells) if "figure.show()" in cell.source]
    assert re.search(
        r"id=\"fig-cell\".*\*\*Fig\w*\.? 2\*\*.*\*two\* points", cells[index + 1].source
    )


def test_pictures_travel_with_the_notebook(converted):
    for picture in converted.soup.find_all("img"):
        assert picture["src"].startswith("data:image/")


def test_admonitions_have_their_titles(plain):
    titles = {quote.find("strong").get_text() for quote in plain.soup.find_all("blockquote")
              if quote.find("strong")}  # fmt: skip
    assert {"Note", "Warning", "A title of its own", "Important", "See also"} <= titles


def test_solutions_are_folded_and_their_code_too(plain):
    summaries = [summary.get_text() for summary in plain.soup.find_all("summary")]
    assert "Solution to Exercise 1 (With a title)" in summaries
    assert "Solution to Exercise 2" in summaries
    [cell] = [cell for cell in plain.code if cell.source == "print(1 == 1)"]
    assert cell.metadata.jupyter.source_hidden
    [cell] = [cell for cell in plain.code if cell.source == "1 + 1"]
    assert not cell.metadata


def test_sources_cited_are_listed(plain):
    references = plain.soup.find_all("li")
    for author, year in (("Robbins", 1951), ("Griewank", 2008)):
        entry = next(e for e in references if author in e.get_text() and str(year) in e.get_text())
        assert plain.soup.find("a", href=f"#{entry.a['id']}")


def test_footnotes_lead_to_their_text(plain):
    for number, text in (("1", "A note at the foot"), ("2", "Another, with")):
        href = next(s for s in plain.soup.find_all("sup") if s.get_text() == number).a["href"]
        place = plain.soup.find(id=href[1:])
        assert text in place.find_next("li").get_text()


def test_tables_are_tables(plain):
    heads = [[th.get_text() for th in table.find_all("th")] for table in plain.soup("table")]
    assert ["one", "two"] in heads
    cells = [td.get_text() for td in plain.soup.find_all("td")]
    assert "a | b" in cells


def test_same_source_gives_the_same_bytes():
    first = small_book.without_address()
    second = small_book.Book().build()
    files = [f for f in first.site.rglob("*") if "_notebooks" in f.parts or f.suffix == ".zip"]
    assert len([f for f in files if f.suffix in (".ipynb", ".zip", ".txt", ".yml")]) >= 5
    for file in filter(Path.is_file, files):
        assert file.read_bytes() == (second.site / file.relative_to(first.site)).read_bytes()


def test_the_archive_has_all_notebooks_and_what_they_need(tmp_path):
    with zipfile.ZipFile(SITE / "notebooks.zip") as archive:
        archive.extractall(tmp_path)
    [folder] = tmp_path.iterdir()
    assert {path.stem for path in folder.glob("*.ipynb")} == set(LECTURES)
    for path in folder.iterdir():
        assert path.read_bytes() == (SITE / "_notebooks" / path.name).read_bytes()
    environment = yaml.safe_load((folder / "environment.yml").read_text())
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["--requirement requirements.txt"]
    required = dict(line.split("==") for line in (folder / "requirements.txt").read_text().split())
    lock = dict(
        re.findall(
            r"^([\w.-]+)==([\w.]+)", (small_book.ROOT / "requirements.lock").read_text(), re.M
        )
    )
    assert {"jax", "plotly", "jupyterlab"} <= required.keys()
    assert required.items() <= lock.items()


def test_landing_page_links_to_the_notebooks():
    soup = BeautifulSoup((SITE / "index.html").read_text("utf-8"), "html.parser")
    links = {a["href"] for a in soup.find_all("a", href=True)}
    assert {"notebooks.zip", *(f"_notebooks/{name}.ipynb" for name in LECTURES)} <= links
