"""Put the figures that code cells make on the page: a picture at once, the live figure on demand.

A cell that ends in `fig.show()` leaves Plotly's JSON in the executed notebook. While the site
is built, Kaleido makes PNGs of it: for the light and the dark page, for a wide and a narrow
screen. Under each a button, worked by live_figures.js, puts the live figure in the picture's
place. Of a figure with frames the picture shows the first, the middle and the last frame.

A figure that lacks its caption, name or alternative text is a warning; a PNG that can't be
made ends the build. PNGs are kept in the folder `live_figures_cache` under a hash of all that
they are made from, so that a figure that stays the same is exported once.

A page shows the figure of another page by

    ```{figure-of} lectures/back_prop fig-training
    ```

For other extensions, from the event `env-updated` on (connect with priority 600 or more):
`picture(app, docname, name)` is the path of the light, wide PNG of a figure, or None if the
page has no such figure.
"""

import copy
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import kaleido
import nbformat
import plotly
import plotly.io as pio
from docutils import nodes
from jupyter_cache import get_cache
from PIL import Image
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.fileutil import copy_asset
from sphinx.util.osutil import ensuredir

logger = logging.getLogger(__name__)

PLOTLY_JSON = "application/vnd.plotly.v1+json"
STATIC = Path(__file__).parent / "static"
PLOTLY_SCRIPT = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"

# Widths in CSS pixels: the theme's column of text, and a phone's. The scales make both sharp
# on the screens that they are for.
WIDTHS = {"wide": 736, "narrow": 360}
SCALES = {"wide": 2, "narrow": 3}
FRAME_WIDTH = 330  # of one frame's picture, where the three stand side by side
PAGE_COLORS = {"light": "#ffffff", "dark": "#131416"}  # the theme's backgrounds
THEME_TEMPLATES = {"light": "plotly_white", "dark": "plotly_dark"}
VARIANTS = [(theme, width) for theme in PAGE_COLORS for width in WIDTHS]
RECIPE = Path(__file__).read_text(encoding="utf-8")  # another code, other pictures


@dataclass
class Figure:
    """A figure as the executed notebook holds it."""

    name: str
    alt: str
    spec: dict  # Plotly's JSON

    def __post_init__(self):
        recipe = [self.spec, RECIPE, plotly.__version__]
        self.hash = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:20]
        self.slider_steps = slider_steps(self.spec)


# ---- Plotly's JSON ------------------------------------------------------------------------


def merged(base, changes):
    """A copy of nested dicts with changes put in; an encoded array is replaced as a whole."""
    if not (isinstance(base, dict) and isinstance(changes, dict)) or "bdata" in changes:
        return copy.deepcopy(changes)
    both = {key: merged(base.get(key), value) for key, value in changes.items()}
    return copy.deepcopy(base) | both


def difference(template, base):
    """What of nested dicts a template has that its base has not, or has otherwise."""
    changes = {}
    for key, value in template.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            if inner := difference(value, base[key]):
                changes[key] = inner
        elif value != base.get(key):
            changes[key] = value
    return changes


def themed_template(template, theme):
    """A figure's template on a light or dark page: its own values over Plotly's for that page."""
    light, base = (
        pio.templates[THEME_TEMPLATES[name]].to_plotly_json() for name in ("light", theme)
    )
    own = difference(template, light)
    page = dict.fromkeys(("paper_bgcolor", "plot_bgcolor"), PAGE_COLORS[theme])
    return merged(merged(base, own), {"layout": page})


def slider_steps(spec):
    """Names of the frames that the reader steps through, as (frame, label) pairs."""
    if sliders := spec["layout"].get("sliders"):
        return [(step["args"][0][0], step["label"]) for step in sliders[0]["steps"]]
    return [(frame["name"], frame["name"]) for frame in spec.get("frames") or []]


def still(spec, frame_name=None):
    """The figure without frames and controls, as it looks in a frame."""
    layout = {k: v for k, v in spec["layout"].items() if k not in ("sliders", "updatemenus")}
    data = copy.deepcopy(spec["data"])
    for frame in spec.get("frames") or []:
        if frame["name"] == frame_name:
            for trace, changes in zip(frame.get("traces", range(len(data))), frame["data"]):
                data[trace] = merged(data[trace], changes)
            layout = merged(layout, frame.get("layout", {}))
    return {"data": data, "layout": layout}


# ---- The executed notebooks ---------------------------------------------------------------


def executed_cells(app, docname):
    """The cells of a page with their outputs; of those that MyST-NB keeps, some have none."""
    path = Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"
    if not path.exists():
        return []
    notebook = nbformat.read(path, as_version=4)
    cache = get_cache(app.env.mystnb_config.execution_cache_path)
    try:
        return cache.merge_match_into_notebook(notebook)[1]["cells"]
    except KeyError:  # it did not run to its end, of which MyST-NB warns
        return []


def figures_of(app, docname, warn=False):
    """The figures of a page, in its order; with warn, what a figure lacks is logged."""
    figures = []
    for cell in executed_cells(app, docname):
        specs = [
            o["data"][PLOTLY_JSON]
            for o in cell.get("outputs", [])
            if PLOTLY_JSON in o.get("data", {})
        ]
        if not specs:
            continue
        settings = cell["metadata"].get("mystnb", {})
        figure = settings.get("figure") or {}
        alt = (settings.get("image") or {}).get("alt", "")
        wanted = {"name": figure.get("name"), "caption": figure.get("caption"), "image alt": alt}
        if warn:
            for what in (what for what, given in wanted.items() if not given):
                first_line = "".join(cell["source"]).strip().split("\n")[0]
                logger.warning(
                    "a figure has no %s; give it one under `mystnb:` in its cell, which starts "
                    "with %r",
                    what,
                    first_line,
                    location=docname,
                    type="live_figures",
                )
            if len(specs) > 1:
                logger.warning(
                    "figure %s: a cell shows one figure, not %d",
                    figure.get("name"),
                    len(specs),
                    location=docname,
                    type="live_figures",
                )
        if figure.get("name"):
            name = nodes.fully_normalize_name(str(figure["name"]))
            figures.append(Figure(name, alt, specs[0]))
    return figures


class live_figure(nodes.General, nodes.Element):
    """Where a figure's picture and button stand; the attribute `name` tells which figure."""


def place_figures(app, doctree):
    """Put a node for the picture into each figure that a cell has made."""
    by_name = {name: node for node in doctree.findall(nodes.figure) for name in node["names"]}
    for figure in figures_of(app, app.env.docname, warn=True):
        if figure.name in by_name:
            by_name[figure.name].insert(0, live_figure(name=figure.name))


class FigureOf(SphinxDirective):
    """Show the figure of another page: the page, and the figure's name."""

    required_arguments = 2

    def run(self):
        docname, name = self.arguments
        self.env.note_dependency(self.env.doc2path(docname))
        return [live_figure(name=name, docname=docname)]


# ---- The PNGs -----------------------------------------------------------------------------


def png_jobs(figure, folder):
    """Kaleido's jobs for all PNGs of a figure: one for each variant and shown frame."""
    names = [name for name, _ in figure.slider_steps]
    frames = [names[0], names[len(names) // 2], names[-1]] if names else [None]
    template = figure.spec["layout"].get("template", {})
    for theme, width in VARIANTS:
        for number, frame in enumerate(frames):
            spec = still(figure.spec, frame)
            spec["layout"]["template"] = themed_template(template, theme)
            height = spec["layout"]["template"].get("layout", {}).get("height", 450)
            height = spec["layout"].get("height") or height
            size = WIDTHS[width], height
            if frame is not None:  # three stand side by side, or one above the other
                size = (FRAME_WIDTH, height) if width == "wide" else (size[0], 0.8 * height)
            yield {
                "fig": spec,
                "path": str(folder / f"{theme}-{width}-{number}.png"),
                "opts": {
                    "format": "png",
                    "scale": SCALES[width],
                    "width": size[0],
                    "height": round(size[1]),
                },
            }


def compose(folder):
    """Put the frames of each variant together, and save it in few colours, which is small."""
    for theme, width in VARIANTS:
        files = sorted(folder.glob(f"{theme}-{width}-*.png"))
        parts = [Image.open(file).convert("RGB") for file in files]
        widths, heights = zip(*(part.size for part in parts))
        beside = width == "wide"
        size = (sum(widths), max(heights)) if beside else (max(widths), sum(heights))
        whole = Image.new("RGB", size, PAGE_COLORS[theme])
        at = 0
        for part in parts:
            whole.paste(part, (at, 0) if beside else (0, at))
            at += part.width if beside else part.height
        small = whole.quantize(128, dither=Image.Dither.NONE)
        small.save(folder / f"{theme}-{width}.png", optimize=True)
        for file in files:
            file.unlink()


def export(app, figures):
    """Make the PNGs of figures that have none yet, all in one browser."""
    cache = Path(app.srcdir, app.config.live_figures_cache)
    missing = [figure for figure in figures if not (cache / figure.hash).exists()]
    if not missing:
        return
    logger.info("exporting %d figures: %s", len(missing), ", ".join(f.name for f in missing))
    ensuredir(cache)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        folders = {figure.hash: Path(work, figure.hash) for figure in missing}
        jobs = []
        for figure in missing:
            folders[figure.hash].mkdir(exist_ok=True)
            jobs += png_jobs(figure, folders[figure.hash])
        try:
            # No MathJax: it would come from another host. The browser is the one that
            # BROWSER_PATH names, else the one that Kaleido finds.
            kaleido.write_fig_from_object_sync(jobs, kopts=dict(mathjax=False, timeout=120))
            for folder in folders.values():
                compose(folder)
        except Exception as error:
            names = ", ".join(figure.name for figure in missing)
            raise ExtensionError(
                f"Kaleido could not export the figures to PNG ({names}).\n"
                f"It says: {type(error).__name__}: {error}\n"
                "It works through a Chrome or Chromium; BROWSER_PATH names it, now: "
                f"{os.environ.get('BROWSER_PATH', 'not set')}"
            ) from error
        for key, folder in folders.items():
            if not (cache / key).exists():
                folder.rename(cache / key)


def collect(app, env):
    """Know all figures of the site before its pages are written, and have their PNGs."""
    app.live_figures = {
        (docname, figure.name): figure
        for docname in sorted(env.found_docs) for figure in figures_of(app, docname)
    }  # fmt: skip
    export(app, app.live_figures.values())


def picture(app, docname, name, variant="light-wide"):
    """Path of a figure's PNG, or None if the page has no figure of that name."""
    figure = app.live_figures.get((docname, name))
    return figure and Path(app.srcdir, app.config.live_figures_cache, figure.hash, f"{variant}.png")


def picture_address(node):
    """Address of that PNG of a `live_figure` node on the site, from its root."""
    return f"_images/{node['name']}-light-wide.png"


# ---- The page -----------------------------------------------------------------------------


def visit_live_figure(translator, node):
    """Write the pictures and the button."""
    app = translator.builder.app
    docname = node.get("docname", translator.builder.current_docname)
    figure = app.live_figures.get((docname, node["name"]))
    if figure is None:
        logger.warning("there is no figure %s on page %s", node["name"], docname, location=node)
        raise nodes.SkipNode
    root = "../" * app.builder.get_target_uri(translator.builder.current_docname).count("/")
    images = Path(app.outdir, "_images")
    ensuredir(images)

    def published(theme, width):
        """Copy a PNG to the site, and tell its address and its size in CSS pixels."""
        file = f"{figure.name}-{theme}-{width}.png"
        shutil.copyfile(picture(app, docname, figure.name, f"{theme}-{width}"), images / file)
        with Image.open(images / file) as image:
            size = [round(pixels / SCALES[width]) for pixels in image.size]
        address = f"{root}_images/{file}?v={figure.hash[:8]}"
        return {"address": address, "width": size[0], "height": size[1]}

    html = app.builder.templates.render(
        "live_figure.html",
        {
            "name": figure.name,
            "alt": figure.alt,
            "has_slider": bool(figure.slider_steps),
            "pictures": [(t, published(t, "wide"), published(t, "narrow")) for t in PAGE_COLORS],
            "plotly": f"{root}_static/plotly.min.js?v={plotly.__version__}",
            "script": f"{root}_static/figures/{figure.name}.js?v={figure.hash[:8]}",
        },
    )
    translator.body.append(html)
    raise nodes.SkipNode


def write_scripts(app, exception):
    """Write what a live figure needs: Plotly, and each figure's data in a script of its own.

    A script works in a page that was opened as a file, where fetching JSON is forbidden.
    """
    if exception or app.builder.format != "html" or not app.live_figures:
        return
    static = Path(app.outdir, "_static")
    copy_asset(PLOTLY_SCRIPT, static)
    ensuredir(static / "figures")
    for figure in app.live_figures.values():
        spec = still(figure.spec)
        template = spec["layout"].pop("template", {})
        spec["frames"] = figure.spec.get("frames") or []
        spec["steps"] = figure.slider_steps
        sliders = figure.spec["layout"].get("sliders") or [{}]
        spec["stepsLabel"] = sliders[0].get("currentvalue", {}).get("prefix", "").strip()
        spec["templates"] = {theme: themed_template(template, theme) for theme in PAGE_COLORS}
        (static / "figures" / f"{figure.name}.js").write_text(
            f"(window.liveFigures ??= {{}})[{json.dumps(figure.name)}] = "
            f"{json.dumps(spec, separators=(',', ':'))};\n",
            encoding="utf-8",
        )


def add_script(app, pagename, templatename, context, doctree):
    """Load the button's script on pages that have a figure, and on no other."""
    if doctree is not None and next(doctree.findall(live_figure), None) is not None:
        app.add_js_file("live_figures.js", loading_method="defer")


def setup(app):
    app.live_figures = {}
    app.add_config_value("live_figures_cache", "_build/.figures", "env")
    app.add_node(live_figure, html=(visit_live_figure, None))
    app.add_directive("figure-of", FigureOf)
    app.connect("doctree-read", place_figures)
    app.connect("env-updated", collect)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", write_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
