"""pip users, conda users and the tests get the same packages."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


def pins(file):
    """Names and versions that a requirements file or a lock pins."""
    lines = (ROOT / file).read_text().splitlines()
    found = (re.match(r"([A-Za-z0-9_.-]+)==([^\s;]+)", line) for line in lines)
    return {match[1].lower().replace("_", "-"): match[2] for match in found if match}


def test_conda_users_get_what_pip_users_get():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    [pip] = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert pip == ["--requirement requirements.txt"]
    assert "python=3.13" in environment["dependencies"]


@pytest.mark.parametrize("folder", ("", "tests/"))
def test_lock_pins_what_is_required(folder):
    required, locked = pins(f"{folder}requirements.txt"), pins(f"{folder}requirements.lock")
    assert required
    assert required.items() <= locked.items()


def test_every_requirement_says_why_it_is_there():
    for file in ("requirements.txt", "tests/requirements.txt"):
        for line in (ROOT / file).read_text().splitlines():
            if "==" in line:
                assert re.search(r"\s# \S+", line), line


def test_tests_run_on_the_packages_of_the_site():
    site, tests = pins("requirements.lock"), pins("tests/requirements.lock")
    assert site.items() <= tests.items()


def test_readers_get_no_test_tools():
    assert not pins("tests/requirements.txt").keys() & pins("requirements.lock").keys()
