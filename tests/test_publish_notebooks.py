"""The branch that the Colab button names, written to a repository as `publish.yml` does."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "_build" / "html" / "_notebooks"


def git(repository, *arguments):
    answer = subprocess.run(
        ["git", "-C", repository, *arguments], check=True, capture_output=True, text=True
    )
    return answer.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A bare repository."""
    path = tmp_path_factory.mktemp("remote") / "repository.git"
    subprocess.run(["git", "init", "--quiet", "--bare", path], check=True)
    return path


def publish(repository):
    """What the workflow calls."""
    environment = os.environ | {"REPOSITORY": str(repository)}
    return subprocess.run(
        ["make", "publish-notebooks"], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the sources are not in a git repository")
def test_the_branch_is_written_once_and_again_only_when_something_changed(repository, tmp_path):
    answer = publish(repository)
    assert answer.returncode == 0, answer.stderr
    files = set(git(repository, "ls-tree", "-r", "--name-only", "notebooks").splitlines())
    built = {str(path.relative_to(NOTEBOOKS)) for path in NOTEBOOKS.rglob("*") if path.is_file()}
    assert files == built >= {"back_prop.ipynb", "requirements.txt", "environment.yml"}
    for path in built:
        stored = git(repository, "rev-parse", f"notebooks:{path}")
        assert stored == git(repository, "hash-object", NOTEBOOKS / path)

    first = git(repository, "rev-parse", "notebooks")
    assert publish(repository).returncode == 0
    assert git(repository, "rev-parse", "notebooks") == first

    other = tmp_path / "other"
    subprocess.run(["git", "clone", "--quiet", "-b", "notebooks", repository, other], check=True)
    (other / "requirements.txt").write_text("changed by someone\n")
    git(other, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "-am", "Change")
    git(other, "push", "--quiet")
    assert publish(repository).returncode == 0
    history = git(repository, "rev-list", "notebooks").splitlines()
    assert len(history) == 3 and first in history
    assert git(repository, "rev-parse", f"{first}^{{tree}}") == git(
        repository, "rev-parse", "notebooks^{tree}"
    )


def test_a_repository_that_cannot_be_reached_is_named(tmp_path):
    answer = publish(tmp_path / "none.git")
    assert answer.returncode != 0
    assert "none.git" in answer.stderr
