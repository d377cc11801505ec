"""What the built site is made of: every cell ran, every link leads somewhere."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parent.parent
SITE = ROOT / "_build" / "html"
PAGES = sorted(SITE.rglob("*.html"))
LECTURES = sorted(SITE.glob("_notebooks/*.ipynb"))


@pytest.fixture(scope="module")
def soups():
    """The parsed pages by path."""
    return {page: BeautifulSoup(page.read_text("utf-8"), "html.parser") for page in PAGES}


def test_the_site_has_its_pages_and_notebooks():
    names = {str(page.relative_to(SITE)) for page in PAGES}
    assert {"index.html", "lectures/back_prop.html", "lectures/references.html"} <= names
    assert "back_prop" in {notebook.stem for notebook in LECTURES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_links_and_pictures_of_a_page_are_there(page, soups):
    for tag, attribute in (("a", "href"), ("link", "href"), ("img", "src"), ("script", "src")):
        for element in soups[page].find_all(tag, **{attribute: True}):
            link = urlsplit(element[attribute])
            if link.scheme or link.netloc or "canonical" in element.get("rel", []):
                continue
            if page.name == "404.html" and link.path.startswith("/"):
                continue  # shown at any depth, so its links start at the site's address
            target = (page.parent / unquote(link.path)).resolve() if link.path else page
            assert target.exists(), f"{element} leads nowhere"
            if link.fragment and target in soups:
                anchors = soups[target].find_all(id=unquote(link.fragment))
                assert len(anchors) == 1, f"{element}: {len(anchors)} anchors of this name"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_no_source_text_is_left_on_a_page(page, soups):
    text = soups[page].find("article") or soups[page].body
    for part in text.find_all(["pre", "code", "annotation", "script"]):
        part.extract()
    for leftover in ("{eq}", "{numref}", "{cite", "{ref}", "```", "$$", "\\begin", "??"):
        assert leftover not in text.get_text()


@pytest.mark.parametrize("lecture", LECTURES, ids=lambda path: path.stem)
def test_every_cell_of_a_lecture_ran(lecture):
    executed = nbformat.read(lecture.parent / "executed" / lecture.name, as_version=4)
    cells = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert cells
    for number, cell in enumerate(cells, start=1):
        assert cell.execution_count == number
        assert not [output for output in cell.outputs if output.output_type == "error"]
