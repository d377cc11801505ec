"""What the tests of the built site share: a server of it, and a browser that reaches no other."""

import functools
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
SITE = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "tools"))
import browser as browsers  # noqa: E402


class Handler(SimpleHTTPRequestHandler):
    """Serves the site as GitHub Pages does: 404.html for what is not there."""

    def log_message(self, *_):
        """Say nothing."""

    def send_error(self, code, message=None, explain=None):
        """Answer with the site's page."""
        body = (SITE / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """A server to which a browser that leaves before it has everything is no fault."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@pytest.fixture(scope="session")
def site_address():
    """Where the built site is served."""
    server = Server(("localhost", 0), functools.partial(Handler, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser():
    """The Chrome or Chromium that the figures are exported with."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browsers.find(), args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, site_address):
    """Open an address of the site; the page's `problems` are what a reader's console says.

    Requests to other hosts are refused, and are problems too. Options are Playwright's for a
    browser context; `block` is a pattern of addresses that can't be reached.
    """
    contexts = []

    def visit(address="", block=None, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.problems, page.requested = [], []

        def route(route):
            page.requested.append(route.request.url)
            if urlsplit(route.request.url).netloc not in ("", urlsplit(site_address).netloc):
                page.problems.append(f"asks another host: {route.request.url}")
                route.abort()
            elif block and block in route.request.url:
                route.abort()
            else:
                route.continue_()

        context.route("**/*", route)
        page.on("console", lambda m: page.problems.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(address if ":" in address else site_address + address)
        return page

    yield visit
    for context in contexts:
        context.close()
