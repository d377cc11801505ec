"""What a reader meets on the built pages, in a real browser that reaches no other host."""

import gzip
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

import small_book

ROOT = Path(__file__).parent.parent
SITE = ROOT / "_build" / "html"
LECTURE = "lectures/back_prop.html"
PAGES = sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.html"))
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}
NOT_A_PAGE = "no/such/folder/page.html"

sys.path.insert(0, str(ROOT / "_sphinx"))
import live_figures  # noqa: E402

each_page = pytest.mark.parametrize("address", PAGES)
each_size = pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
each_scheme = pytest.mark.parametrize("scheme", ["light", "dark"])


def scroll_through(page):
    """Show every part of a page once, as reading does, and wait for its pictures."""
    page.evaluate("""async () => {
        for (let y = 0; y < document.body.scrollHeight; y += 500) {
            scrollTo(0, y);
            await new Promise(resolve => setTimeout(resolve, 20));
        }
        for (const picture of document.images) {
            if (!picture.checkVisibility()) continue;
            picture.scrollIntoView();
            await picture.decode();
        }
    }""")


def go_live(figure):
    """Press a figure's button, and give its plot once it is drawn."""
    figure.get_by_role("button", name="Live figure").click()
    plot = figure.locator(".js-plotly-plot")
    plot.locator(".main-svg").first.wait_for()
    figure.page.wait_for_function(
        "box => !box.querySelector('[aria-busy]')", arg=figure.element_handle()
    )
    return plot


def figures(page):
    """The places of a page's live figures."""
    return page.locator(".live-figure").all()


def scrolls_sideways(page):
    """Whether the page as a whole is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth > innerWidth")


# ---- Alone ----------------------------------------------------------------------------------


@each_page
def test_a_page_asks_no_other_host_and_the_console_is_empty(visit, address):
    page = visit(address)
    scroll_through(page)
    for figure in figures(page):
        go_live(figure)
    assert page.problems == []


def test_the_lecture_reads_right_from_a_file(visit):
    page = visit((SITE / LECTURE).as_uri())
    scroll_through(page)
    assert page.evaluate("document.fonts.check('16px KaTeX_Main')")
    assert go_live(figures(page)[0]).evaluate("plot => plot.data.length")
    assert page.problems == []


def test_without_scripts_text_mathematics_and_pictures_are_there(visit):
    page = visit(LECTURE, java_script_enabled=False, viewport=WIDE)
    source = BeautifulSoup(page.content(), "html.parser")
    formulas = source.select(".katex")
    assert len(formulas) > 20
    assert all(formula.find("math") and formula.select(".katex-html") for formula in formulas)
    for figure in figures(page):
        figure.scroll_into_view_if_needed()
        picture = figure.locator("img:visible")
        assert picture.count() == 1 and picture.bounding_box()["height"] > 50
        assert not figure.get_by_role("button").is_visible()
    solution = page.locator("details.solution").first
    assert not solution.locator("p").first.is_visible()
    solution.locator("summary").click()
    assert solution.locator("p").first.is_visible()


# ---- Figures --------------------------------------------------------------------------------


@each_scheme
@each_size
def test_pictures_are_sharp_sized_and_made_for_the_page(visit, scheme, size):
    page = visit(LECTURE, color_scheme=scheme, viewport=size, device_scale_factor=2)
    scroll_through(page)
    assert figures(page)
    for figure in figures(page):
        [picture] = figure.locator("img:visible").all()
        shown = picture.evaluate("""i => ({
            file: i.currentSrc, width: i.clientWidth, ratio: i.clientWidth / i.clientHeight,
            own: i.naturalWidth / i.naturalHeight})""")
        data = (SITE / "_images" / Path(shown["file"].partition("?")[0]).name).read_bytes()
        assert data.startswith(b"\x89PNG")
        width = int.from_bytes(data[16:20])
        assert width >= 2 * shown["width"], "not sharp where two pixels make one"
        assert shown["ratio"] == pytest.approx(shown["own"], rel=0.02), "the picture is distorted"
        assert f"-{scheme}-" in shown["file"]


def test_figures_have_caption_number_alternative_text_and_links_to_them():
    source = BeautifulSoup((SITE / LECTURE).read_text("utf-8"), "html.parser")
    found = source.select("figure:has(.live-figure)")
    assert len(found) == len(source.select(".live-figure")) > 0
    for number, figure in enumerate(found, start=1):
        assert figure.select_one(".caption-number").get_text(strip=True) == f"Figure {number}"
        assert len(figure.select_one(".caption-text").get_text()) > 20
        for picture in figure.select("img"):
            assert len(picture["alt"]) > 40
            assert int(picture["width"]) > 0 and int(picture["height"]) > 0
    assert source.select('a[href^="#fig-"] .std-numref')


def test_figures_go_live_by_keyboard_with_one_load_of_plotly(visit):
    page = visit(LECTURE)

    def plotly_loads():
        return [address for address in page.requested if "plotly" in address]

    assert not plotly_loads()
    for figure in figures(page)[:2]:
        button = figure.get_by_role("button", name="Live figure")
        button.focus()
        page.keyboard.press("Enter")
        plot = figure.locator(".js-plotly-plot")
        plot.locator(".main-svg").first.wait_for()
        script = SITE / "_static" / "figures" / f"{figure.get_attribute('data-figure')}.js"
        made = json.loads(script.read_text("utf-8").partition(" = ")[2].rstrip(";\n"))
        traces = plot.evaluate("p => p._fullData.map(t => [t.type, t.x.length, t.name])")
        assert [kind for kind, *_ in traces] == [trace["type"] for trace in made["data"]]
        assert all(points > 1 for _, points, _ in traces)
        assert not figure.locator("img:visible").count()
        button.press("Enter")
        assert figure.locator("img:visible").count() == 1, "the picture does not come back"
    assert len(plotly_loads()) == 1


def test_the_slider_moves_the_curve_by_keyboard(visit):
    page = visit(LECTURE)
    sliding = page.locator(".live-figure[data-slider]").first
    plot = go_live(sliding)
    slider = sliding.get_by_role("slider")

    def traces():
        page.wait_for_timeout(200)
        return plot.evaluate("p => p.calcdata.map(t => t.map(point => [point.x, point.y]))")

    seen = [traces()]
    slider.focus()
    for key in ("ArrowRight", "End"):
        page.keyboard.press(key)
        seen.append(traces())
        assert seen[-1] != seen[-2]
        assert sliding.locator("output").inner_text() in slider.get_attribute("aria-valuetext")
    page.keyboard.press("Home")
    assert traces() == seen[0]


def test_the_picture_stays_and_a_message_says_so_if_plotly_cannot_load(visit):
    page = visit(LECTURE, block="plotly.min.js")
    figure = figures(page)[0]
    figure.get_by_role("button").click()
    page.wait_for_function(
        "box => box.querySelector('[role=status]').textContent.includes('picture')",
        arg=figure.element_handle(),
    )
    assert figure.locator("img:visible").count() == 1
    page.context.unroute_all()
    go_live(figure)
    assert figure.get_by_role("status").inner_text() == ""


def test_a_live_figure_follows_the_theme(visit):
    page = visit(LECTURE, color_scheme="light", viewport=WIDE)
    plot = go_live(figures(page)[0])

    def is_for(theme):
        page.wait_for_timeout(300)
        made_for = live_figures.PAGE_COLORS[theme]
        return plot.evaluate("p => p._fullLayout.paper_bgcolor") == made_for

    assert is_for("light")
    page.emulate_media(color_scheme="dark")
    assert is_for("dark")
    toggle = page.locator(".theme-toggle:visible")
    while page.evaluate("document.body.dataset.theme") != "light":
        toggle.click()
    assert is_for("light")


# ---- Everyone -------------------------------------------------------------------------------


def violations(page):
    """What axe-core finds against WCAG 2.1, A and AA."""
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
    found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]}).response
    return [(v["id"], n["html"], n["any"]) for v in found["violations"] for n in v["nodes"]]


@each_page
@each_scheme
@each_size
def test_axe_finds_nothing(visit, address, scheme, size):
    page = visit(address, color_scheme=scheme, viewport=size)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert violations(page) == []
    if figures(page):
        for figure in figures(page):
            go_live(figure)
        assert violations(page) == []


@each_page
@pytest.mark.parametrize(
    "width, text", [(360, 100), (640, 100), (1280, 200)],
    ids=["phone", "zoomed to 200%", "text of 200%"],
)  # fmt: skip
def test_the_page_does_not_scroll_sideways(visit, address, width, text):
    page = visit("404.html", viewport={"width": width, "height": 800})
    sizes = {"standard": 16 * text // 100, "fixed": 13 * text // 100}
    page.context.new_cdp_session(page).send("Page.setFontSizes", {"fontSizes": sizes})
    page.goto(page.url.replace("404.html", address))
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    scroll_through(page)
    assert not scrolls_sideways(page)
    for figure in figures(page):
        go_live(figure)
    assert not scrolls_sideways(page)


def test_wide_formulas_and_code_scroll_in_their_own_box_by_keyboard(visit):
    page = visit(LECTURE, viewport=PHONE)
    for boxes in (".equation", "pre"):
        wide = page.locator(f"{boxes}[tabindex='0']").first
        wide.focus()
        before = wide.evaluate("box => box.scrollLeft")
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(400)
        assert wide.evaluate("box => box.scrollLeft") > before


@pytest.mark.parametrize(
    "checkbox, drawer", [("__navigation", ".sidebar-drawer"), ("__toc", ".toc-drawer")]
)
def test_a_phones_drawers_open_by_keyboard_and_hide_nothing_that_has_the_focus(
    visit, checkbox, drawer
):
    page = visit(LECTURE, viewport=PHONE)
    link = page.locator(f"{drawer} li li a, {drawer} .sidebar-brand").first
    assert link.evaluate("a => { a.focus(); return document.activeElement !== a }")
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == checkbox:
            break
    page.keyboard.press("Space")
    page.wait_for_timeout(400)
    box = page.locator(drawer).bounding_box()
    assert 0 <= box["x"] and box["x"] + box["width"] <= PHONE["width"]
    assert link.evaluate("a => { a.focus(); return document.activeElement === a }")


@each_page
@each_scheme
def test_whatever_has_the_focus_shows_it(visit, address, scheme):
    page = visit(address, viewport=WIDE, color_scheme=scheme)
    seen = []
    for _ in range(25):
        page.keyboard.press("Tab")
        name, shown = page.evaluate("""() => {
            const e = document.activeElement, style = getComputedStyle(e);
            return [e.outerHTML.slice(0, 120), e === document.body ||
                style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
        }""")
        assert shown, name
        seen.append(name)
    assert len(set(seen)) > 5


def test_reduced_motion_is_respected(visit):
    page = visit(LECTURE, reduced_motion="reduce", viewport=PHONE)
    assert page.evaluate("""[...document.querySelectorAll("*")].every(element => {
        const style = getComputedStyle(element);
        return style.animationName === "none" && parseFloat(style.transitionDuration) === 0;
    })""")


@each_scheme
def test_on_paper_figures_are_whole_and_nothing_is_folded(visit, scheme):
    page = visit(LECTURE, color_scheme=scheme, viewport=WIDE)
    go_live(figures(page)[0])
    page.emulate_media(media="print")
    for gone in (".sidebar-drawer", ".toc-drawer", ".mobile-header", ".live-figure button"):
        assert not page.locator(f"{gone}:visible").count()
    for figure in figures(page):
        [picture] = figure.locator("img:visible").all()
        assert "-light-" in picture.evaluate("i => i.currentSrc || i.src")
        assert picture.evaluate("i => getComputedStyle(i).breakInside") == "avoid"
    for solution in page.locator("details.solution").all():
        assert solution.evaluate("s => s.lastElementChild.checkVisibility()")
        assert solution.bounding_box()["height"] > 100


# ---- Finding the way ------------------------------------------------------------------------


def test_search_finds_sigmoid(visit):
    page = visit("index.html", viewport=WIDE)
    page.locator(".sidebar-search").fill("sigmoid")
    page.keyboard.press("Enter")
    result = page.locator(f"#search-results a[href*='{LECTURE}']").first
    result.wait_for()
    assert violations(page) == []
    result.click()
    assert "sigmoid" in page.locator("article").inner_text()
    assert page.problems == []


def test_search_works_on_a_phone_without_the_drawer(visit):
    page = visit("search.html", viewport=PHONE)
    page.locator("article input[type=search]").fill("sigmoid")
    page.keyboard.press("Enter")
    page.locator(f"#search-results a[href*='{LECTURE}']").first.wait_for()


def test_an_address_that_is_not_there_shows_the_sites_own_page_at_any_depth(visit):
    page = visit(NOT_A_PAGE, viewport=WIDE)
    assert "not found" in page.title().lower()
    assert page.evaluate("getComputedStyle(document.querySelector('.page')).display") == "flex"
    page.locator("article a").first.click()
    assert page.locator("h1").inner_text() == page.title()


def test_the_landing_page_shows_a_figure_and_leads_to_the_lecture(visit):
    page = visit("index.html", viewport=WIDE)
    assert figures(page)[0].locator("img:visible").bounding_box()["y"] < WIDE["height"]
    go_live(figures(page)[0])
    page.locator(f"article a[href='{LECTURE}']").first.click()
    assert page.url.endswith(LECTURE)


@pytest.mark.parametrize("address", [page for page in PAGES if page != "404.html"])
def test_a_page_has_icon_and_description(address):
    source = BeautifulSoup((SITE / address).read_text("utf-8"), "html.parser")
    icon = source.find("link", rel="icon")
    assert (SITE / address).parent.joinpath(icon["href"].partition("?")[0]).exists()
    if address != "search.html":
        description = source.find("meta", attrs={"name": "description"})["content"]
        assert len(description) > 20
        assert source.find("meta", property="og:description")["content"] == description


def test_addresses_are_given_once_they_are_known():
    site = small_book.with_address().site
    start = "https://reader.github.io/a-fork/"
    sitemap = ElementTree.parse(site / "sitemap.xml")
    listed = [place.text for place in sitemap.findall(".//{*}loc")]
    assert all((site / place.removeprefix(start)).is_file() for place in listed)
    for address in ("index.html", "lectures/constructs.html"):
        page = BeautifulSoup((site / address).read_text("utf-8"), "html.parser")
        assert page.find("link", rel="canonical")["href"] == start + address
        assert page.find("meta", property="og:url")["content"] == start + address
        assert start + address in listed
    missing = BeautifulSoup((site / "404.html").read_text("utf-8"), "html.parser")
    assert missing.base["href"] == "/a-fork/"
    assert not (small_book.without_address().site / "sitemap.xml").exists()


# ---- Light ----------------------------------------------------------------------------------


@each_size
def test_the_first_view_of_the_lecture_is_light_and_does_not_jump(visit, site_address, size):
    page = visit("about:blank", viewport=size)
    page.add_init_script("""window.jumps = 0; new PerformanceObserver(list => {
        for (const entry of list.getEntries()) window.jumps += entry.value;
    }).observe({type: "layout-shift", buffered: true});""")
    page.goto(site_address + LECTURE)
    page.wait_for_load_state("networkidle")
    assert len(page.requested) <= 30, page.requested
    weight = 0
    for address in set(page.requested):
        answer = page.context.request.get(address)
        kind = answer.headers.get("content-type", "")
        is_text = re.search("text|javascript|json|svg", kind)
        weight += len(gzip.compress(answer.body()) if is_text else answer.body())
    assert 50_000 < weight <= 500_000
    scroll_through(page)
    assert page.evaluate("jumps") < 0.02


# ---- The build ------------------------------------------------------------------------------


@pytest.mark.parametrize("lacking", ["caption", "alt"])
def test_a_figure_that_says_nothing_to_a_blind_reader_stops_the_build(lacking):
    book = small_book.Book()
    lecture = book.folder / "lectures" / "constructs.md"
    text = lecture.read_text("utf-8")
    start = text.index("mystnb:")
    cell = re.sub(rf"\n *{lacking}: [^\n]*", "", text[start:], count=1)
    lecture.write_text(text[:start] + cell, "utf-8")
    with pytest.raises(AssertionError):
        book.build()
    assert f"a figure has no {'image ' if lacking == 'alt' else ''}{lacking}" in book.log


def test_a_dark_template_keeps_the_figures_own_settings():
    own = {"layout": {"height": 300, "colorway": ["#123456"]}}
    light = live_figures.themed_template(own, "light")
    dark = live_figures.themed_template(own, "dark")
    assert light["layout"]["height"] == dark["layout"]["height"] == 300
    assert light["layout"]["colorway"] == dark["layout"]["colorway"] == ["#123456"]
    assert light["layout"]["font"]["color"] != dark["layout"]["font"]["color"]


def test_a_frame_changes_the_traces_it_names_and_no_other():
    spec = {
        "data": [{"type": "bar", "y": [1]}, {"type": "bar", "y": [2], "name": "b"}],
        "layout": {"sliders": [{}], "title": {"text": "start"}},
        "frames": [
            {"name": "f", "traces": [1], "data": [{"y": [9]}], "layout": {"title": {"text": "f"}}}
        ],
    }
    assert live_figures.still(spec, "f") == {
        "data": [{"type": "bar", "y": [1]}, {"type": "bar", "y": [9], "name": "b"}],
        "layout": {"title": {"text": "f"}},
    }
