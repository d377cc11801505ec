"""Weigh the first view of a lecture, and of other people's pages of the same content.

    .venv/bin/python benchmarks/page_weight.py [NAME=ADDRESS …]

Each page is opened cold in a fresh Chromium, until nothing more is asked for. Bytes are those
of the answers, and what gzip makes of text. An ADDRESS is a folder's page (path/to/page.html)
or a URL; requests to other hosts are answered by the network, if there is one, and counted.
Medians of several openings of each page in turn; the last column compares with our page.
"""

import functools
import gzip
import re
import statistics
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import browser  # noqa: E402

OPENINGS = 5
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
# How the page paints, jumps and blocks; a task blocks for as long as it takes beyond 50 ms.
OBSERVE = """
window.seen = {paint: 0, shift: 0, blocking: 0};
const observe = (type, add) => new PerformanceObserver(list => list.getEntries().forEach(add))
    .observe({type, buffered: true});
observe("largest-contentful-paint", entry => seen.paint = entry.startTime);
observe("layout-shift", entry => { if (!entry.hadRecentInput) seen.shift += entry.value; });
observe("longtask", entry => seen.blocking += entry.duration - 50);
"""


class QuietHandler(SimpleHTTPRequestHandler):
    """A file server that says nothing."""

    def log_message(self, *_):
        """Say nothing."""


def serve(page):
    """Address of a page of a folder; the site's root is taken to be two folders up at most."""
    page = Path(page).resolve()
    root = next((p for p in page.parents if (p / "_static").is_dir()), page.parent)
    handler = functools.partial(QuietHandler, directory=root)
    server = ThreadingHTTPServer(("localhost", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://localhost:{server.server_port}/{page.relative_to(root)}"


def open_cold(chromium, address, with_axe):
    """Numbers of one opening."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    requests, finished = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("requestfinished", lambda request: finished.append(request.url))
    page.add_init_script(OBSERVE)
    page.goto(address, wait_until="load")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    raw = packed = 0
    for address in dict.fromkeys(finished):  # asked again: Chromium doesn't keep every answer
        answer = context.request.get(address)
        body = answer.body()
        raw += len(body)
        is_text = re.search("text|javascript|json|svg|xml", answer.headers.get("content-type", ""))
        packed += len(gzip.compress(body)) if is_text else len(body)
    seen = page.evaluate("seen")
    hosts = {urlsplit(url).netloc for url in requests if url.startswith("http")}
    numbers = {
        "requests": len([url for url in requests if url.startswith("http")]),
        "other hosts": len(hosts) - 1,
        "kB": raw / 1000,
        "kB compressed": packed / 1000,
        "largest paint, ms": seen["paint"],
        "blocking, ms": seen["blocking"],
        "layout shift": seen["shift"],
    }
    if with_axe:
        found = Axe().run(page, options={"runOnly": WCAG, "resultTypes": ["violations"]}).response
        numbers["axe findings"] = sum(len(rule["nodes"]) for rule in found["violations"])
    context.close()
    return numbers


def main(*others):
    pages = {"ours": serve(ROOT / "_build" / "html" / "lectures" / "back_prop.html")}
    for other in others:
        name, _, address = other.partition("=")
        pages[name] = address if "://" in address else serve(address)
    results = {name: [] for name in pages}
    with sync_playwright() as playwright:
        for opening in range(OPENINGS):
            for name, address in pages.items():
                chromium = playwright.chromium.launch(
                    executable_path=browser.find(), args=["--no-sandbox"]
                )
                results[name].append(open_cold(chromium, address, with_axe=opening == 0))
                chromium.close()
    print("|".join(["", "", *pages, *(f"{name} / ours" for name in list(pages)[1:]), ""]))
    print("|---" * (2 * len(pages)) + "|")
    for measure in results["ours"][0]:
        medians = [
            statistics.median(run[measure] for run in runs if measure in run)
            for runs in results.values()
        ]
        ratios = [f"{m / medians[0]:.2g}" if medians[0] else "–" for m in medians[1:]]
        print("|".join(["", measure, *(f"{m:.4g}" for m in medians), *ratios, ""]))


if __name__ == "__main__":
    main(*sys.argv[1:])
