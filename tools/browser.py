"""Make sure that Kaleido has a Chrome or Chromium to export the figures with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from choreographer.browsers.chromium import Chromium

HOW_TO_INSTALL = """\
No Chrome or Chromium was found, and none could be installed.
The figures are exported to PNG through one. Install it in one of these ways:
  Debian, Ubuntu   apt-get install chromium
  Fedora           dnf install chromium
  macOS            brew install --cask google-chrome
  anywhere         .venv/bin/plotly_get_chrome
or name one that is there: BROWSER_PATH=/path/to/chrome make html"""


class NoBrowser(Exception):
    """Nothing was found and nothing could be installed; the message says what to do."""


def runs(path):
    """Whether a browser starts; one that lacks a library of the system's doesn't."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def find():
    """Path of the browser that Kaleido would take, or None if it has none that starts."""
    path = os.environ.get("BROWSER_PATH") or Chromium.find_browser(skip_local=False)
    return path if path and runs(path) else None


def installers():
    """Commands that install a browser without asking, the least invasive first."""
    yield [Path(sys.executable).with_name("plotly_get_chrome"), "-y"]
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if shutil.which("apt-get") and (not as_root or shutil.which("sudo")):
        script = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes chromium"
        yield [*as_root, "sh", "-c", script]


def ensure():
    """Path of a browser that starts, installed first if there is none.

    Raises NoBrowser if that is impossible.
    """
    if path := find():
        return path
    if path := os.environ.get("BROWSER_PATH"):
        raise NoBrowser(f"BROWSER_PATH={path} does not start.\n{HOW_TO_INSTALL}")
    for command in installers():
        print("No Chrome or Chromium found; trying:", *command, flush=True)
        subprocess.run(command, stdout=sys.stderr, timeout=900)
        if path := find():
            return path
    raise NoBrowser(HOW_TO_INSTALL)


if __name__ == "__main__":
    try:
        print(ensure())
    except NoBrowser as error:
        sys.exit(str(error))
