"""What goes wrong around a build is said, with the way out, and costs nobody the last good site.

Each fault is made in a copy of the repository with a book of one small page, in a folder whose
name has spaces and letters of other alphabets, in a git repository without a remote. After each
fault the next build has to be fine.
"""

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parent.parent
# Without what `make test PYTHON=…` hands on to every make below it.
OUTSIDE_MAKE = {name: value for name, value in os.environ.items() if "MAKE" not in name}
LECTURE = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
# Small

Read {cite}`one`, and see {eq}`two`.

$$ a = b $$ (two)

```{code-cell} ipython3
1 + 1
```
"""
BIBLIOGRAPHY = "@book{one, author = {A. One}, title = {One}, publisher = {One}, year = 2001}\n"
REFERENCES = "# References\n\n```{bibliography}\n```\n"


class Book:
    """A copy of the repository with a small book, and what was built of it."""

    def __init__(self, folder):
        self.folder = folder
        self.lecture = folder / "lectures" / "small.md"
        self.site = folder / "_build" / "html"
        self.cache = folder / "_build" / ".jupyter_cache"

    def command(self, *arguments):
        return ["make", "--no-print-directory", "-C", str(self.folder), *arguments]

    def make(self, *arguments, before=(), **variables):
        """Run a target: (exit status, everything that was printed)."""
        answer = subprocess.run(
            [*before, *self.command(*(arguments or ["html"]))],
            env=OUTSIDE_MAKE | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
        )
        self.last_status = answer.returncode
        return answer.returncode, answer.stdout.decode()

    def state(self):
        """The site's files and what is in them."""
        return {
            str(path.relative_to(self.site)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.site.rglob("*")
            if path.is_file()
        }

    def processes(self):
        """Processes that a build of this book has started and that are still there."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.folder) in process.environ().get("EXECUTIONS", ""):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def start(self, *arguments):
        """Start a target in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            self.command(*(arguments or ["html"])),
            env=OUTSIDE_MAKE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_for_kernel(self):
        """Wait until a cell is being executed."""
        deadline = time.monotonic() + 60
        while not any("ipykernel" in " ".join(p.cmdline()) for p in self.processes()):
            assert time.monotonic() < deadline, "no kernel was started"
            time.sleep(0.1)
        time.sleep(1.5)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The small book, built once."""
    folder = tmp_path_factory.mktemp("faults") / "déjà vu ∂L"
    folder.mkdir()
    settings = ("_config.yml", "requirements.lock", "requirements.txt", "environment.yml")
    for name in ("Makefile", "how_built.md", *settings):
        shutil.copy2(ROOT / name, folder)
    shutil.copytree(ROOT / "tools", folder / "tools")
    shutil.copytree(ROOT / "_sphinx", folder / "_sphinx", symlinks=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "lectures").mkdir()
    (folder / "index.md").write_text("# Front\n", encoding="utf-8")
    (folder / "lectures" / "small.md").write_text(LECTURE, encoding="utf-8")
    (folder / "lectures" / "references.md").write_text(REFERENCES, encoding="utf-8")
    (folder / "lectures" / "references.bib").write_text(BIBLIOGRAPHY, encoding="utf-8")
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n"
        "  - file: lectures/small\n  - file: lectures/references\n  - file: how_built\n",
        encoding="utf-8",
    )
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    book = Book(folder)
    status, printed = book.make()
    assert status == 0, printed
    return book


@pytest.fixture
def book(built):
    """The small book; whatever was done to its sources is undone, and it has to build again."""
    names = ("_toc.yml", "_config.yml", "lectures/small.md")
    sources = {name: (built.folder / name).read_text(encoding="utf-8") for name in names}
    built.last_status = None
    yield built
    changed = False
    for name, text in sources.items():
        changed |= text != (built.folder / name).read_text(encoding="utf-8")
        (built.folder / name).write_text(text, encoding="utf-8")
    if changed or built.last_status != 0:
        status, printed = built.make()
        assert status == 0, printed


def fails_saying(book, *words, status=2, **options):
    """The build fails, its message has these words, and the last good site stays."""
    before = book.state()
    returned, printed = book.make(**options)
    assert returned == status, printed
    for word in words:
        assert word in printed, printed
    assert book.state() == before
    assert not book.processes()


def in_namespace(*setting_up):
    """A command's beginning: these commands first, in a namespace where they harm nothing."""
    before = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-c"]
    before.append(" && ".join([*setting_up, 'exec "$@"']))
    before.append("sh")
    if not shutil.which("unshare") or subprocess.run([*before, "true"]).returncode:
        pytest.skip("this machine lets nobody make namespaces")
    return before


UP = (
    f"{shlex.quote(sys.executable)} -c 'import socket, fcntl, struct; s = socket.socket(); "
    'fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0x41))\''
)  # the loopback device, by which kernels are talked to


@pytest.mark.parametrize(
    "change, words",
    [
        ("\n```{code-cell} ipython3\n1 / 0\n```\n", ["lectures/small.md", "1 / 0", "ZeroDivision"]),
        (
            "\n```{code-cell} ipython3\nbytearray(1 << 55)\n```\n",
            ["lectures/small.md", "bytearray(1 << 55)", "MemoryError"],
        ),
        (  # what Linux does to a kernel when memory runs out
            "\n```{code-cell} ipython3\nimport os\nos.kill(os.getpid(), 9)\n```\n",
            ["lectures/small.md:22", "os.kill(os.getpid(), 9)", "died"],
        ),
        ("\n{ref}`nowhere`\n", ["lectures/small.md", "nowhere"]),
        ("\n{cite}`nobody`\n", ["lectures/small.md", "nobody"]),
        ("\n$$ c = d $$ (two)\n", ["lectures/small.md", "duplicate label", "two"]),
    ],
    ids=["raises", "asks for too much memory", "kernel dies", "reference", "citation", "label"],
)
def test_fault_in_a_lecture(book, change, words):
    book.lecture.write_text(LECTURE + change, encoding="utf-8")
    fails_saying(book, *words)


def test_cell_that_never_ends(book):
    settings = book.folder / "_config.yml"
    text = settings.read_text(encoding="utf-8")
    assert "timeout: 300" in text
    settings.write_text(text.replace("timeout: 300", "timeout: 2"), encoding="utf-8")
    endless = "\n```{code-cell} ipython3\nwhile True:\n    pass\n```\n"
    book.lecture.write_text(LECTURE + endless, encoding="utf-8")
    fails_saying(book, "lectures/small.md", "while True:", "after 2 seconds")


def test_broken_table_of_contents(book):
    toc = book.folder / "_toc.yml"
    toc.write_text(toc.read_text(encoding="utf-8") + "  - fil: lectures/more\n", encoding="utf-8")
    fails_saying(book, "Table of Contents", "fil")


def test_no_browser(book):
    fails_saying(book, "No Chrome or Chromium", "apt-get install", BROWSER_PATH="/no/such/browser")


FIGURE = """
```{code-cell} ipython3
---
mystnb:
  figure:
    caption: A line.
    name: fig-line
  image:
    alt: A line.
---
import plotly.graph_objects as go

fig = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))
fig.show()
```
"""


@pytest.mark.parametrize("moment", ["exporting", "printing"])
def test_browser_that_crashes(book, tmp_path, moment):
    """A browser that starts as it should, and is gone a moment later."""
    real = subprocess.run(
        [sys.executable, ROOT / "tools" / "browser.py"], check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then exec "{real}" --version; fi\n'
        f'"{real}" "$@" & sleep 0.3; kill -9 $!\n'
    )
    browser.chmod(0o755)
    if moment == "exporting":
        book.lecture.write_text(LECTURE + FIGURE, encoding="utf-8")
        fails_saying(book, "Kaleido", "fig-line", str(browser), BROWSER_PATH=str(browser))
    else:
        fails_saying(book, "Chrome did not print", BROWSER_PATH=str(browser))


def test_no_network_after_the_installation(book):
    shutil.rmtree(book.cache)
    status, printed = book.make(before=in_namespace(UP))
    assert status == 0, printed


@pytest.mark.parametrize("damage", ["database", "result", "lost result", "no database"])
def test_damaged_execution_cache(book, damage):
    results = list(book.cache.glob("executed/*/base.ipynb"))
    assert results
    if damage == "database":
        (book.cache / "global.db").write_bytes(b"not a database" * 1000)
    elif damage == "no database":
        (book.cache / "global.db").unlink()
    for result in results:
        if damage == "result":
            result.write_text(result.read_text(encoding="utf-8")[:200], encoding="utf-8")
        elif damage == "lost result":
            result.unlink()
    book.lecture.write_text(f"{LECTURE}\n{damage}\n", encoding="utf-8")
    status, printed = book.make()
    assert status == 0, printed
    if damage != "no database":
        assert "The execution cache is damaged" in printed


def test_two_builds_at_once(book):
    slow = LECTURE.replace("1 + 1", "import time\ntime.sleep(5)")
    book.lecture.write_text(slow, encoding="utf-8")
    first = book.start()
    book.wait_for_kernel()
    status, printed = book.make()
    assert status != 0
    assert "Another build of this folder is running" in printed
    printed = first.communicate()[0].decode()
    assert first.returncode == 0, printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "ended"])
def test_interrupted_build(book, number):
    endless = LECTURE.replace("1 + 1", "while True:\n    pass")
    book.lecture.write_text(endless, encoding="utf-8")
    before = book.state()
    build = book.start()
    book.wait_for_kernel()
    os.killpg(build.pid, number)
    printed = build.communicate(timeout=60)[0].decode()
    # make ends by the signal, which a shell shows as 128 more than its number.
    assert build.returncode in (-number, 2), printed
    assert "interrupted" in printed
    assert book.state() == before
    assert not book.processes()


def test_full_disk(book):
    mount = f"mount -t tmpfs -o size=24m tmpfs '{book.folder}/_build'"
    script = in_namespace(mount, UP)[:-2]
    steps = f"""
        cd '{book.folder}' && {mount} && {UP} && make html || exit 10
        before=$(cat _build/html/lectures/small.html | cksum)
        echo More. >> lectures/small.md
        head -c 30m /dev/zero > _build/filler
        make html && exit 11
        test "$before" = "$(cat _build/html/lectures/small.html | cksum)" || exit 12
        rm _build/filler
        make html || exit 13
    """
    answer = subprocess.run(
        [*script, steps], env=OUTSIDE_MAKE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    printed = answer.stdout.decode()
    assert answer.returncode == 0, printed
    assert "No space left on device" in printed


def test_read_only_checkout(book):
    target = f"'{book.folder}'"
    read_only = f"mount --bind {target} {target} && mount -o remount,ro,bind {target}"
    before = in_namespace(read_only)
    fails_saying(book, "cannot be written to", before=before)


def test_unsupported_python(book):
    (book.folder / ".venv").unlink()
    try:
        fails_saying(book, "3.11, 3.12 or 3.13", "make PYTHON=", PYTHON="false")
    finally:
        (book.folder / ".venv").symlink_to(ROOT / ".venv")


def test_half_finished_environment_is_made_anew(book):
    (book.folder / ".venv").unlink()
    (book.folder / ".venv" / "bin").mkdir(parents=True)
    try:
        status, printed = book.make("html", "--dry-run")
        assert status == 0
        assert "venv --clear .venv" in printed
    finally:
        shutil.rmtree(book.folder / ".venv")
        (book.folder / ".venv").symlink_to(ROOT / ".venv")


def test_gpu_asked_for_and_absent():
    answer = subprocess.run(
        [sys.executable, "-c", "import gpu; gpu.check()"],
        cwd=ROOT / "tools",
        env=os.environ | {"JAX_PLATFORMS": ""},
        capture_output=True,
        text=True,
    )
    if answer.returncode == 0:
        pytest.skip("this machine has a GPU that JAX sees")
    assert "JAX sees no GPU" in answer.stderr
    assert "nvidia-smi" in answer.stderr
