"""A small book that uses every construct, built with the site's own settings."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = Path(__file__).parent / "every_construct"
SETTINGS = ("_config.yml", "_sphinx", "environment.yml")


def git(folder, *arguments):
    """Run git for an author that needs no settings."""
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *author, "-C", folder, *arguments], check=True, capture_output=True)


class Book:
    """A copy of the book in a folder of its own."""

    def __init__(self):
        self.holder = tempfile.TemporaryDirectory()  # goes when the book does
        self.folder = Path(self.holder.name) / "book"
        shutil.copytree(SOURCE, self.folder)
        for name in SETTINGS:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.folder / name)
        self.site = self.folder / "work" / "_build" / "html"
        self.log = ""

    def build(self, **environment):
        """Build it as if in these surroundings alone, a warning being an error."""
        surroundings = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
        surroundings |= {"PLOTLY_RENDERER": "plotly_mimetype", "NO_COLOR": "1"} | environment
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        answer = subprocess.run(
            [Path(sys.executable).with_name("jb"), "build", ".", "--path-output", "work", "-nW"],
            cwd=self.folder, env=surroundings, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.log = answer.stdout
        assert answer.returncode == 0, self.log
        return self


@functools.cache
def without_address():
    """The book, built where nothing tells a repository's address."""
    return Book().build()


@functools.cache
def with_address():
    """The book, built in the CI of a fork."""
    return Book().build(
        GITHUB_SERVER_URL="https://github.com", GITHUB_REPOSITORY="Reader/a-fork",
        GITHUB_REF_TYPE="branch", GITHUB_REF_NAME="trunk",
    )  # fmt: skip


@functools.cache
def in_a_checkout():
    """The book, built in a git repository that was cloned from GitHub."""
    book = Book()
    git(book.folder, "init", "--quiet")
    git(book.folder, "remote", "add", "origin", "git@github.com:owner/name.git")
    git(book.folder, "add", "lectures", "index.md", "_toc.yml", "_config.yml")
    git(book.folder, "commit", "--quiet", "--message", "A book")
    return book.build()
