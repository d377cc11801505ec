"""What a build leaves: its record, the printed book, and nothing that depends on chance."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from pypdf import PdfReader

ROOT = Path(__file__).parent.parent
SITE = ROOT / "_build" / "html"
RECORD = "how_built.html"  # tells the times of its build


@pytest.fixture(scope="module")
def record():
    """The rows of the record's tables, as texts, by the heading above them."""
    page = BeautifulSoup((SITE / RECORD).read_text("utf-8"), "html.parser")
    return {
        section["id"]: [
            [cell.get_text().strip() for cell in row.find_all("td")]
            for row in section.select("tbody tr")
        ]
        for section in page.select("article section section")
    }


def test_record_tells_of_each_lecture_what_its_kernel_measured(record):
    rows = record["executed-notebooks"]
    notebooks = sorted((SITE / "_notebooks" / "executed").glob("*.ipynb"))
    assert len(rows) == len(notebooks) >= 1
    measured = [
        json.loads(path.read_text("utf-8"))["cells"]
        for path in (ROOT / "_build" / ".jupyter_cache" / "executions").glob("*.json")
    ]
    for _, _, device, cells, seconds, _ in rows:
        assert device
        assert (cells, seconds) in [
            (str(len(m)), f"{sum(cell['seconds'] for cell in m):.1f}") for m in measured
        ]


def test_slowest_cells_come_first(record):
    seconds = [float(row[-1]) for row in record["slowest-cells"]]
    assert seconds[0] == max(seconds) > 0


def test_record_has_the_versions_in_use(record):
    versions = dict(record["versions"])
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if pin := re.match(r"([\w.-]+)==([^\s#]+)", line):
            assert versions[pin[1]] == pin[2]


@pytest.fixture(scope="module")
def book():
    """The printed book's pages, as texts."""
    return [page.extract_text() for page in PdfReader(SITE / "book.pdf").pages]


def squeezed(text):
    """Text without spaces, as a PDF has its own idea of them."""
    return re.sub(r"\s", "", text)


def test_contents_of_the_book_lead_to_the_right_pages(book):
    page = BeautifulSoup((SITE / "lectures" / "back_prop.html").read_text("utf-8"), "html.parser")
    for link in page.select("article .headerlink"):
        link.extract()
    headings = [heading.get_text() for heading in page.select("article h1, article h2")]
    assert len(headings) > 5
    for heading in headings:
        [number] = re.findall(rf"{re.escape(squeezed(heading))}(\d+)", squeezed(book[1]))[:1]
        assert squeezed(heading) in squeezed(book[int(number) - 1])


def test_book_has_its_figures_equations_and_bibliography(book):
    page = BeautifulSoup((SITE / "lectures" / "back_prop.html").read_text("utf-8"), "html.parser")
    printed = squeezed(" ".join(book))
    captions = page.select("figure .caption-number")
    assert captions
    for caption in captions:
        assert squeezed(caption.get_text()) in printed
    for number in page.select("span.eqno"):
        assert re.match(r"\(\d+\)", number.get_text())[0] in printed
    references = BeautifulSoup(
        (SITE / "lectures/references.html").read_text("utf-8"), "html.parser"
    )
    for entry in references.select(".citation"):
        assert squeezed(entry.find("p").get_text())[:40] in printed
    pictures = sum(len(page.images) for page in PdfReader(SITE / "book.pdf").pages)
    assert pictures >= len(captions)


def test_formulas_of_the_book_are_set_in_their_fonts():
    pages = PdfReader(SITE / "book.pdf").pages
    fonts = {
        str(font.get_object()["/BaseFont"])
        for page in pages
        for font in page["/Resources"].get("/Font", {}).values()
    }
    assert any("KaTeX_Main" in font for font in fonts)
    assert any("KaTeX_Math" in font for font in fonts)


def test_book_can_be_navigated():
    reader = PdfReader(SITE / "book.pdf")
    titles = {entry.title for entry in reader.outline if not isinstance(entry, list)}
    assert any("Back-Propagation" in title for title in titles)
    assert reader.metadata.title == "The Back-Propagation Lectures"


def content(path):
    """A file's bytes, less the numbers that Chrome gives at random to a PDF's table cells."""
    data = path.read_bytes()
    return re.sub(rb"node\d{8}", b"node", data) if path.suffix == ".pdf" else data


def files(site):
    """The site's files, less the record, by what is in them."""
    return {
        str(path.relative_to(site)): hashlib.sha256(content(path)).hexdigest()
        for path in site.rglob("*")
        if path.is_file() and path.name != RECORD
    }


def test_the_same_sources_give_the_same_site(tmp_path):
    copy = tmp_path / "another place"
    unbuilt = shutil.ignore_patterns(".venv", ".uv", "_build", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=unbuilt)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    answer = subprocess.run(
        ["make", "-C", copy, "html"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert answer.returncode == 0, answer.stdout.decode()
    first, second = files(SITE), files(copy / "_build" / "html")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
