"""Write the notebooks of the built site to the branch that the Colab button opens them from.

The branch holds the notebooks and what is needed to run them, and nothing of the sources; it
gets a commit only when something in it has changed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "_build" / "html" / "_notebooks"
BRANCH = "notebooks"
AUTHOR = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "github-actions[bot]"),
        ("EMAIL", "41898282+github-actions[bot]@users.noreply.github.com"),
    )
}


def git(*arguments, **variables):
    """What git prints."""
    command = ["git", "-C", ROOT, *arguments]
    answer = subprocess.run(
        command, env=os.environ | AUTHOR | variables, stdout=subprocess.PIPE, text=True, check=True
    )
    return answer.stdout.strip()


def tree_of(folder):
    """Put a folder into git's store; the name of its tree."""
    with tempfile.TemporaryDirectory() as scratch:
        variables = {"GIT_INDEX_FILE": f"{scratch}/index", "GIT_WORK_TREE": str(folder)}
        git("add", "--all", "--force", ".", **variables)
        return git("write-tree", **variables)


def publish(repository):
    """Push the notebooks, if they differ from what the branch has."""
    tree = tree_of(NOTEBOOKS)
    parents = []
    if git("ls-remote", repository, f"refs/heads/{BRANCH}"):
        git("fetch", "--quiet", "--depth=1", repository, f"refs/heads/{BRANCH}")
        if git("rev-parse", "FETCH_HEAD^{tree}") == tree:
            print("The notebooks have not changed.")
            return
        parents = ["-p", git("rev-parse", "FETCH_HEAD")]
    source = git("rev-parse", "HEAD")
    commit = git("commit-tree", tree, *parents, "-m", f"Notebooks of {source}")
    git("push", "--quiet", repository, f"{commit}:refs/heads/{BRANCH}")
    print(f"The notebooks are on the branch {BRANCH}.")


if __name__ == "__main__":
    if not sys.argv[1:] or not sys.argv[1]:
        sys.exit("Name the repository to push to: make publish-notebooks REPOSITORY=https://…")
    if not NOTEBOOKS.exists():
        sys.exit("There are no notebooks yet: make html")
    try:
        publish(sys.argv[1])
    except subprocess.CalledProcessError:
        sys.exit("The notebooks were not published; the lines above, from git, say why.")
