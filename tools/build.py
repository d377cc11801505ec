"""Build the site beside the last good one, and put it in its place only when it is whole.

Exit status: 0, the site is in _build/html; anything else, the last good site is untouched.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import browser

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
SITE = BUILD / "html"
CACHE = BUILD / ".jupyter_cache"  # as _config.yml names it
WORK = BUILD / ".work"
STAGED = WORK / "_build" / "html"  # Jupyter Book adds the second _build

ENVIRONMENT = {
    "PLOTLY_RENDERER": "plotly_mimetype",  # the site makes pictures of the figures itself
    "IPYTHONDIR": str(WORK / "ipython"),  # nobody's own IPython start-up files
    "PYTHONHASHSEED": "0",  # the same site from the same source
}


class BuildFailed(Exception):
    """The site could not be built; the message says why and what to do."""


def lock_folder():
    """Hold the build folder for this process until it ends."""
    BUILD.mkdir(exist_ok=True)
    lock = open(BUILD / ".lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BuildFailed("Another build of this folder is running: wait for it, or end it.")
    return lock


def forget_results_of_another_environment():
    """Empty the execution cache if a package changed; its own key is the code alone."""
    packages = sorted(f"{d.name}=={d.version}" for d in distributions())
    environment = hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()
    record = CACHE / "environment"
    if CACHE.exists() and (not record.exists() or record.read_text() != environment):
        print("The packages have changed: the notebooks will be executed anew.")
        shutil.rmtree(CACHE)
    CACHE.mkdir(exist_ok=True)
    record.write_text(environment)


def run_jupyter_book():
    """Build into the work folder; warnings are errors."""
    jupyter_book = Path(sys.executable).with_name("jb")
    command = [jupyter_book, "build", ROOT, "--path-output", WORK, "-n", "-W", "--keep-going"]
    if subprocess.run(command, env=os.environ | ENVIRONMENT).returncode:
        # Sphinx warns only of the pages that it reads: next time it shall read all.
        shutil.rmtree(WORK)
        raise BuildFailed("The lines above, from the first WARNING or ERROR on, say why.")


def publish():
    """Put the staged site in the place of the last one."""
    new, old = SITE.with_name(".html.new"), SITE.with_name(".html.old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(STAGED, new)
    if SITE.exists():
        SITE.rename(old)
    new.rename(SITE)
    shutil.rmtree(old, ignore_errors=True)


def main():
    try:
        lock = lock_folder()
        os.environ["BROWSER_PATH"] = browser.ensure()
        forget_results_of_another_environment()
        run_jupyter_book()
        publish()
        lock.close()
    except (BuildFailed, browser.NoBrowser) as error:
        kept = f"\nThe last good site is unchanged: {SITE}/index.html" if SITE.exists() else ""
        sys.exit(f"\nThe site was not built. {error}{kept}")
    print(f"\nThe site is in {SITE}/index.html")


if __name__ == "__main__":
    main()
