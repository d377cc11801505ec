"""Build the site beside the last good one, and put it in its place only when it is whole.

Exit status: 0, the site is in _build/html; 130, interrupted; anything else, it could not be
built. Unless it is 0, the last good site is untouched.

Every build starts from nothing, so that the same sources give the same site; what takes long,
executing the notebooks, has a cache that outlives builds. If nothing has changed since the last
good site, there is nothing to do.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import psutil
from jupyter_cache import get_cache

import book_pdf
import browser

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
SITE = BUILD / "html"
LAST_SITE = BUILD / ".html.last"  # while the new one takes its place
CACHE = BUILD / ".jupyter_cache"  # as _config.yml names it
EXECUTIONS = CACHE / "executions"  # how long each cell took: see kernel_startup
WORK = BUILD / ".work"
STAGED = WORK / "_build" / "html"  # Jupyter Book adds the second _build
BUILT_FROM = BUILD / ".built_from"  # a hash of what the site was made from
SOURCES = ("*.md", "*.yml", "requirements.*", "lectures/**/*", "_sphinx/**/*", "tools/**/*")
IPYTHON = WORK / "ipython"

ENVIRONMENT = {
    "PLOTLY_RENDERER": "plotly_mimetype",  # the site makes pictures of the figures itself
    "IPYTHONDIR": str(IPYTHON),  # nobody's own IPython start-up files
    "EXECUTIONS": str(EXECUTIONS),
    "PYTHONHASHSEED": "0",  # the same site from the same source
}


class BuildFailed(Exception):
    """The site could not be built; the message says why and what to do."""


def lock_folder():
    """Hold the build folder for this process, and what it starts, until they end."""
    try:
        BUILD.mkdir(exist_ok=True)
        lock = open(BUILD / ".lock", "w")
    except OSError as error:
        raise BuildFailed(
            f"This folder cannot be written to ({error.strerror}): build in a copy of it."
        )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BuildFailed("Another build of this folder is running: wait for it, or end it.")
    return lock


def clear_up():
    """Undo what a build that was cut off has left."""
    if LAST_SITE.exists() and not SITE.exists():
        LAST_SITE.rename(SITE)
    for leftover in (LAST_SITE, WORK):
        if leftover.exists():
            shutil.rmtree(leftover)


def cache_is_sound():
    """Whether every result in the execution cache can be read."""
    try:
        cache = get_cache(CACHE)
        for record in cache.list_cache_records():
            cache.get_cache_bundle(record.pk)
    except Exception:  # whatever a damaged file makes of it
        return False
    return True


def environment():
    """A hash of what the notebooks run on: Python, the locked packages, JAX for GPUs."""
    locked = re.findall(r"^([\w-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    packages = sorted(
        f"{package.name}=={package.version}"
        for package in distributions()
        if package.name.lower().replace("_", "-") in locked or package.name.startswith("jax")
    )
    return hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()


def forget_results():
    """Empty the execution cache if it is damaged or a package changed: its key is code alone."""
    record = CACHE / "environment"
    if CACHE.exists():
        if not record.exists() or record.read_text() != environment():
            print("The packages have changed: the notebooks will be executed anew.")
            shutil.rmtree(CACHE)
        elif not cache_is_sound():
            print("The execution cache is damaged: the notebooks will be executed anew.")
            shutil.rmtree(CACHE)
    if not CACHE.exists():
        BUILT_FROM.unlink(missing_ok=True)  # there is something to do
    EXECUTIONS.mkdir(parents=True, exist_ok=True)
    record.write_text(environment())


def sources():
    """A hash of all that the site is made from: files, packages, browser, repository."""
    digest = hashlib.sha256(environment().encode())
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and not {"node_modules", "__pycache__"} & set(path.parts):
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    if shutil.which("git"):
        for command in (["rev-parse", "HEAD"], ["remote", "--verbose"]):
            answer = subprocess.run(["git", "-C", ROOT, *command], capture_output=True)
            digest.update(answer.stdout)
    for name, value in sorted(os.environ.items()):
        if name.startswith("GITHUB_") or name in ("BROWSER_PATH", "JAX_PLATFORMS"):
            digest.update(f"{name}={value}\n".encode())
    return digest.hexdigest()


def nothing_has_changed():
    """Whether the site in its place is what a build would make again."""
    return SITE.exists() and BUILT_FROM.exists() and BUILT_FROM.read_text() == sources()


def end_all_started():
    """End what this process has started: kernels and browsers would outlive it."""
    family = psutil.Process().children(recursive=True)
    for member in family:
        member.kill()
    psutil.wait_procs(family, timeout=10)


def unfinished_cell():
    """Where the cell is that was begun and did not end, if there is one."""
    for path in EXECUTIONS.glob("*.json"):
        cell = json.loads(path.read_text(encoding="utf-8"))["cells"][-1]
        if cell["seconds"] is None:
            path.unlink()
            for lecture in ROOT.glob("lectures/*.md"):
                before, found, _ = lecture.read_text(encoding="utf-8").partition(cell["source"])
                if found:
                    where = f"{lecture.relative_to(ROOT)}:{before.count(chr(10)) + 1}"
                    return f"\nThis cell did not end: {where}\n{cell['source']}\n"
    return ""


def run_jupyter_book(builder, lock):
    """Run one of Sphinx's builders in the work folder; warnings are errors."""
    startup = IPYTHON / "profile_default" / "startup"
    shutil.copytree(ROOT / "_sphinx" / "kernel_startup", startup)
    jupyter_book = Path(sys.executable).with_name("jb")
    options = ["--path-output", WORK, "--builder", builder, "-n", "-W", "--keep-going"]
    # In a session of its own, so that Ctrl-C reaches this process alone, which then ends the
    # whole family while it still knows who belongs to it. The lock is held by both.
    process = subprocess.Popen(
        [jupyter_book, "build", ROOT, *options],
        env=os.environ | ENVIRONMENT,
        start_new_session=True,
        pass_fds=[lock.fileno()],
    )
    if process.wait():
        cell = unfinished_cell()
        raise BuildFailed(f"The lines above, from the first WARNING or ERROR on, say why.{cell}")


def publish():
    """Put the staged site in the place of the last one."""
    if SITE.exists():
        SITE.rename(LAST_SITE)
    try:
        STAGED.rename(SITE)
    except BaseException:
        clear_up()
        raise
    shutil.rmtree(LAST_SITE, ignore_errors=True)


def build(builder):
    """Build all, and publish it if it is the site."""
    with lock_folder() as lock:
        clear_up()
        os.environ["BROWSER_PATH"] = browser.ensure()
        forget_results()
        if builder == "html" and nothing_has_changed():
            return
        run_jupyter_book(builder, lock)
        if builder == "html":
            book_pdf.write(STAGED, os.environ["BROWSER_PATH"], STAGED / "book.pdf")
            publish()
            BUILT_FROM.write_text(sources())


def interrupt(*_):
    """End in the way that Ctrl-C does."""
    raise KeyboardInterrupt


def main(builder="html"):
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        build(builder)
    except KeyboardInterrupt:
        end_all_started()
        reason, status = "It was interrupted.", 130
    except (BuildFailed, browser.NoBrowser, book_pdf.PrintingFailed) as error:
        reason, status = error, 1
    except OSError as error:
        reason, status = f"{error.strerror}: {error.filename}", 1
    else:
        if builder == "html":
            print(f"\nThe site is in {SITE}/index.html")
        return
    failed = "The site was not built." if builder == "html" else "Not every link leads somewhere."
    kept = f"\nThe last good site is unchanged: {SITE}/index.html" if SITE.exists() else ""
    print(f"\n{failed} {reason}{kept}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
