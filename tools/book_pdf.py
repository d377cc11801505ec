"""Print the whole book to one PDF, with a table of contents, from the pages of the built site.

Chrome prints it: so the formulas, figures and code are those of the pages, and no second
typesetting system has to be kept in step. It does not know the page that a link leads to, so
the book is printed twice: once to see on which page each section is, then with these numbers.
"""

import logging
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote, urljoin

from bs4 import BeautifulSoup
from pypdf import PdfReader, PdfWriter

logging.getLogger("pypdf").setLevel(logging.ERROR)  # of Chrome's count of objects, one by one off

PARSER = "html.parser"
STYLE = Path(__file__).with_name("book.css")
LEFT_OUT = {"how_built.html"}  # tells of a build, and would make each build's PDF another


class PrintingFailed(Exception):
    """Chrome did not print; the message says what it said."""


def parse(path):
    """A page of the site."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), PARSER)


def pages(site):
    """The site's pages in the reader's order, without the landing page: (address, its HTML)."""
    address = "index.html"
    while True:
        page = parse(site / address)
        if address != "index.html" and address not in LEFT_OUT:
            yield address, page
        following = page.find("link", rel="next")
        if following is None:
            return
        address = urljoin(address, following["href"])


def style_sheets(pages):
    """Addresses of all that the pages use; not each needs that of the formulas."""
    for address, page in pages.items():
        for link in page.select("link[rel=stylesheet]"):
            yield urljoin(address, link["href"])


def article(address, page, addresses):
    """A page's content, its links now within the book: no two pages share a name for a place."""

    def place(address, name):
        return f"{address}:{name}"

    content = page.find("article")
    content.name = "section"
    for unwanted in content.select(".headerlink, .page-links, button, script"):
        unwanted.decompose()
    for folded in content.find_all("details"):  # on paper nobody can unfold anything
        if "above-input" in folded.get("class", []):
            folded.decompose()  # code that is only about a figure's looks
        else:
            folded["open"] = ""
    for element in content.find_all(id=True):
        element["id"] = place(address, element["id"])
    for element in content.find_all(src=True):
        element["src"] = urljoin(address, element["src"])
    for link in content.find_all("a", href=True):
        target, _, name = urljoin(address, link["href"]).partition("#")
        if target in addresses:
            link["href"] = "#" + place(target, name)
    content["id"] = place(address, "")
    return content


def contents(book, articles, page_of):
    """The table of contents: pages and their sections, with page numbers where they are known."""
    listing = book.new_tag("nav")
    for content in articles:
        for heading in content.find_all(["h1", "h2"]):
            # Of its own: the section can begin on the page before its heading.
            name = heading.find_parent("section")["id"] + ":heading"
            if not heading.find(id=name):
                inside = book.new_tag("span", id=name)
                inside.extend(list(heading.contents))
                heading.append(inside)
            line = book.new_tag("a", href=f"#{name}", attrs={"class": f"to-{heading.name}"})
            title, number = book.new_tag("span"), book.new_tag("span")
            title.string = heading.get_text()
            number.string = str(page_of.get(name, ""))
            line.extend([title, number])
            listing.append(line)
    return listing


def chrome_prints(browser, page, pdf):
    """Print a page with Chrome."""
    with tempfile.TemporaryDirectory() as profile:  # not that of a Chrome that is open
        options = ["--headless", "--no-sandbox", f"--user-data-dir={profile}"]
        options += ["--no-pdf-header-footer", "--generate-pdf-document-outline"]
        command = [browser, *options, f"--print-to-pdf={pdf}", page.as_uri()]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            raise PrintingFailed("Chrome did not print the PDF within two minutes.")
    if answer.returncode or not pdf.exists():
        raise PrintingFailed(f"Chrome did not print the PDF.\n{answer.stderr[-2000:]}")


def page_numbers(pdf):
    """On which page each place is: {name: number}."""
    reader = PdfReader(pdf)
    return {
        unquote(name).removeprefix("/"): reader.get_destination_page_number(destination) + 1
        for name, destination in reader.named_destinations.items()
    }


def write(site, browser, pdf):
    """Write the book of a built site to a PDF."""
    front = parse(site / "index.html")
    found = dict(pages(site))
    articles = [article(address, page, found) for address, page in found.items()]
    book = BeautifulSoup("<!doctype html><html lang=en><head><body data-theme=light>", PARSER)
    own_style, title, heading = book.new_tag("style"), book.new_tag("header"), book.new_tag("h1")
    own_style.string = STYLE.read_text(encoding="utf-8")
    for sheet in dict.fromkeys(style_sheets(found)):
        book.head.append(book.new_tag("link", rel="stylesheet", href=sheet))
    book.head.append(own_style)
    heading.string = front.select_one(".sidebar-brand-text").get_text()
    title.append(heading)
    page = site / "book.html"  # here the styles and pictures have their addresses
    numbers = {}
    for _ in range(2):
        book.body.clear()
        book.body.extend([title, contents(book, articles, numbers), *articles])
        page.write_text(str(book), encoding="utf-8")
        chrome_prints(browser, page, pdf)
        numbers = page_numbers(pdf)
    page.unlink()
    writer = PdfWriter(clone_from=pdf)
    writer.metadata = {"/Title": heading.string}  # and not the time
    writer.write(pdf)
