"""A page's links lead to the repository that the site was built from, whosesoever it is."""

import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from bs4 import BeautifulSoup

import small_book

sys.path.insert(0, str(small_book.ROOT / "_sphinx"))
import repository  # noqa: E402

CI = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "owner/name"}
ON_BRANCH = CI | {"GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "trunk"}
NEED_AN_ADDRESS = {
    "Open in Colab", "Open in Binder", "View source", "Suggest an edit", "Report an issue",
}  # fmt: skip


def settings(url="", branch=""):
    """What _config.yml says."""
    return SimpleNamespace(repository_url=url, repository_branch=branch)


def links(site, page):
    """A page's links by their text."""
    soup = BeautifulSoup((site / page).read_text("utf-8"), "html.parser")
    [place] = soup.select(".page-links")
    return {a.get_text(): a["href"] for a in place.find_all("a")}


@pytest.fixture
def checkout(tmp_path):
    """A repository with no remote."""
    small_book.git(tmp_path, "init", "--quiet")
    return tmp_path


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/owner/name",
        "https://github.com/owner/name.git",
        "https://user:secret@github.com/owner/name.git",
        "git@github.com:owner/name.git",
        "ssh://git@github.com/owner/name",
        "ssh://git@github.com:22/owner/name.git",
    ],
)
def test_address_from_the_git_remote(checkout, remote):
    small_book.git(checkout, "remote", "add", "origin", remote)
    found = repository.find_repository(settings(), checkout, {})
    assert found == ("https://github.com", "owner/name", "main")


def test_branch_is_the_remotes_main_one(checkout):
    small_book.git(checkout, "remote", "add", "origin", "git@github.com:owner/name.git")
    head = ("refs/remotes/origin/HEAD", "refs/remotes/origin/develop")
    small_book.git(checkout, "symbolic-ref", *head)
    assert repository.find_repository(settings(), checkout, {}).branch == "develop"


def test_a_folder_inside_another_repository_has_not_its_address(checkout):
    small_book.git(checkout, "remote", "add", "origin", "git@github.com:owner/name.git")
    (checkout / "inside").mkdir()
    assert repository.find_repository(settings(), checkout / "inside", {}) is None


@pytest.mark.parametrize("remote", ["/srv/git/name.git", "../name", "https://example.org/o/name"])
def test_no_address_from_other_remotes(checkout, remote):
    small_book.git(checkout, "remote", "add", "origin", remote)
    assert repository.find_repository(settings(), checkout, {}) is None


def test_settings_go_before_ci_and_ci_before_the_remote(checkout):
    small_book.git(checkout, "remote", "add", "origin", "git@github.com:third/name.git")
    found = repository.find_repository(settings(), checkout, ON_BRANCH)
    assert found == ("https://github.com", "owner/name", "trunk")
    chosen = settings("https://github.com/first/book", "next")
    found = repository.find_repository(chosen, checkout, ON_BRANCH)
    assert found == ("https://github.com", "first/book", "next")


def test_a_pull_request_links_to_what_it_is_for(checkout):
    request = CI | {
        "GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "12/merge", "GITHUB_BASE_REF": "trunk",
    }  # fmt: skip
    assert repository.find_repository(settings(), checkout, request).branch == "trunk"


@pytest.mark.parametrize(
    ("name", "address"),
    [("Owner/Name", "https://owner.github.io/Name/"), ("me/me.github.io", "https://me.github.io/")],
)
def test_address_of_the_site(name, address):
    assert repository.Repository("https://github.com", name, "main").pages_url == address


def test_links_of_a_fork_are_its_own():
    book = small_book.with_address()
    found = links(book.site, "lectures/constructs.html")
    fork = "https://github.com/Reader/a-fork"
    assert NEED_AN_ADDRESS < found.keys()
    assert found["View source"] == f"{fork}/blob/trunk/lectures/constructs.md"
    assert found["Suggest an edit"] == f"{fork}/edit/trunk/lectures/constructs.md"
    assert found["Report an issue"].startswith(f"{fork}/issues/new?")
    assert "Every construct" in parse_qs(urlsplit(found["Report an issue"]).query)["title"][0]
    page = (book.site / "lectures" / "constructs.html").read_text("utf-8")
    canonical = BeautifulSoup(page, "html.parser").find("link", rel="canonical")
    assert canonical["href"] == "https://reader.github.io/a-fork/lectures/constructs.html"


def test_colab_and_binder_open_what_publishing_writes(tmp_path):
    book = small_book.with_address()
    (book.folder / "tools").mkdir(exist_ok=True)
    program = small_book.ROOT / "tools" / "publish_notebooks.py"
    (book.folder / "tools" / program.name).write_bytes(program.read_bytes())
    built = book.folder / "_build"
    built.mkdir(exist_ok=True)
    (built / "html").symlink_to(book.site)
    small_book.git(book.folder, "init", "--quiet")
    small_book.git(book.folder, "add", "index.md")
    small_book.git(book.folder, "commit", "--quiet", "--message", "A book")
    small_book.git(tmp_path, "init", "--quiet", "--bare")
    subprocess.run([sys.executable, book.folder / "tools" / program.name, tmp_path], check=True)

    def published(branch):
        command = ["git", "-C", tmp_path, "ls-tree", "-r", "--name-only", branch]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    found = links(book.site, "lectures/constructs.html")
    parts = urlsplit(found["Open in Colab"])
    assert parts.netloc == "colab.research.google.com"
    assert parts.path.startswith("/github/Reader/a-fork/blob/")
    branch, path = parts.path.removeprefix("/github/Reader/a-fork/blob/").split("/", 1)
    assert path in published(branch)
    parts = urlsplit(found["Notebook with results"])
    branch, path = parts.path.removeprefix("/github/Reader/a-fork/blob/").split("/", 1)
    assert path in published(branch)
    parts = urlsplit(found["Open in Binder"])
    branch = parts.path.removeprefix("/v2/gh/Reader/a-fork/")
    [path] = parse_qs(parts.query)["urlpath"]
    assert path.removeprefix("lab/tree/") in published(branch)
    assert {"environment.yml", "requirements.txt"} <= set(published(branch))


def test_address_of_a_remote_reaches_the_pages():
    found = links(small_book.in_a_checkout().site, "lectures/constructs.html")
    assert found["View source"].startswith("https://github.com/owner/name/blob/main/")


def test_without_an_address_links_that_need_it_are_absent_and_the_build_says_so():
    book = small_book.without_address()
    for page in ("index.html", "lectures/constructs.html"):
        found = links(book.site, page)
        assert not NEED_AN_ADDRESS & found.keys()
        for link in found.values():
            if not link.endswith("book.pdf"):  # which is printed from the finished pages
                assert ((book.site / page).parent / link).is_file()
    said = [line for line in book.log.splitlines() if "No address of a repository" in line]
    assert len(said) == 1 and "WARNING" not in said[0]


@pytest.mark.parametrize("build", [small_book.with_address, small_book.without_address])
def test_every_lecture_and_the_landing_page_lead_to_the_notebook(build):
    site = build().site
    assert links(site, "lectures/constructs.html")["Download notebook"]
    assert links(site, "index.html")["Download all notebooks (zip)"] == "notebooks.zip"
    for page in ("index.html", "lectures/constructs.html"):
        notebook = (site / page).parent / links(site, page)["Download notebook"]
        assert notebook.resolve() == (site / "_notebooks" / "constructs.ipynb").resolve()
