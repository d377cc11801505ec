"""Find out where the source is kept, and so where its site and its notebooks are.

The repository's address is, in this order,
  what _config.yml says (repository_url, repository_branch),
  what GitHub's CI says,
  the git remote `origin`,
so that a fork has its own with nothing edited. Where there is none, links that need it are
left out, and the build says so.
"""

import os
import re
import subprocess
from typing import NamedTuple

from sphinx.util import logging

logger = logging.getLogger(__name__)

GITHUB = "https://github.com"
NOTEBOOKS_BRANCH = "notebooks"  # publishing writes the folder of notebooks to it


class Repository(NamedTuple):
    """Where the source is kept."""

    server: str
    name: str  # owner/repository
    branch: str

    @property
    def url(self):
        return f"{self.server}/{self.name}"

    @property
    def is_public(self):
        """Whether Colab, Binder and GitHub Pages know it; they know no other server."""
        return self.server == GITHUB

    @property
    def pages_url(self):
        """Address of its site on GitHub Pages."""
        owner, name = self.name.split("/")
        host = f"{owner.lower()}.github.io"
        return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def git(folder, *arguments):
    """What a git command prints, or "" if it fails or there is no git."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def git_of(folder, *arguments):
    """The same, if the folder is itself a repository and not only inside another one."""
    return git(folder, *arguments) if git(folder, "rev-parse", "--show-prefix") == "" else ""


def parse(url):
    """(server, owner/repository) of an https or ssh address; None if it's of another form."""
    match = re.fullmatch(
        r"(?:https?://(?:[^/@]+@)?|ssh://(?:[^/@]+@)?|[^/@]+@)([^/:]+)(?::\d+)?[/:]"
        r"([^/]+/[^/]+?)(?:\.git)?/?",
        url,
    )
    return match and (f"https://{match[1]}", match[2])


def find_repository(config, folder, environment=os.environ):
    """The Repository, or None if nothing tells its address."""
    branch = config.repository_branch
    if config.repository_url:
        place = parse(config.repository_url)
        if not place:
            logger.warning(
                "repository_url: %r in _config.yml is not of the form %s/OWNER/REPOSITORY.",
                config.repository_url, GITHUB,
            )  # fmt: skip
            return None
    elif environment.get("GITHUB_REPOSITORY"):
        server = environment.get("GITHUB_SERVER_URL", GITHUB).rstrip("/")
        place = server, environment["GITHUB_REPOSITORY"]
    else:
        place = parse(git_of(folder, "remote", "get-url", "origin"))
        if not place or place[0] != GITHUB:  # the forms of other servers' links are not known
            return None
    if not branch and environment.get("GITHUB_REF_TYPE") == "branch":
        branch = environment.get("GITHUB_REF_NAME", "")
        if re.fullmatch(r"\d+/merge", branch):  # a pull request's, which nobody can look at
            branch = environment.get("GITHUB_BASE_REF", "")
    if not branch:
        branch = git_of(folder, "symbolic-ref", "refs/remotes/origin/HEAD").rpartition("/")[2]
    return Repository(*place, branch or "main")


def version(folder):
    """Which state of the source this is, in words."""
    commit = git_of(
        folder, "describe", "--always", "--dirty= with changes", "--abbrev=10", "--exclude=*"
    )
    date = git_of(folder, "log", "-1", "--format=%cs")
    return f"version {commit}, {date}" if commit and date else "version not recorded"


def find_address(app, config):
    """Look for the repository once; the site's own address follows from it."""
    app.repository = find_repository(config, app.srcdir)
    if not app.repository:
        logger.info(
            "No address of a repository on GitHub is known (from _config.yml, CI or the git remote "
            "“origin”): there are no links to Colab, Binder, their source or issues."
        )
    elif app.repository.is_public and not config.html_baseurl:
        config.html_baseurl = app.repository.pages_url
    app.source_version = version(app.srcdir)
    config.repository_found = repr((app.repository, app.source_version))


def setup(app):
    app.add_config_value("repository_url", "", "html")
    app.add_config_value("repository_branch", "", "html")
    # Set by every build; when it changes, all pages are written again.
    app.add_config_value("repository_found", "", "html")
    app.connect("config-inited", find_address)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
