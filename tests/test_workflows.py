"""The workflows: valid, nothing for a stranger to misuse, and calling targets that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def jobs():
    """Every job of every workflow: (file name, job's name, job)."""
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield path.name, name, job


def steps():
    """Every step, with its workflow's file name."""
    for file, _, job in jobs():
        for step in job["steps"]:
            yield file, step


def check(tool, *arguments):
    """A checker finds nothing."""
    answer = subprocess.run(
        [BIN / tool, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert answer.returncode == 0, answer.stdout.decode()


@pytest.mark.parametrize(
    "schema, files",
    [
        ("github-workflows", WORKFLOWS),
        ("dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
)
def test_files_are_what_github_reads(schema, files):
    check("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def test_nothing_for_a_stranger_to_misuse():
    check("zizmor", "--pedantic", "--offline", "--quiet", ".github")


def test_workflows_call_targets_that_exist():
    called = set()
    for _, step in steps():
        called |= set(re.findall(r"\bmake ([a-z-]+)", step.get("run", "")))
    for _, _, job in jobs():
        called |= set(job.get("strategy", {}).get("matrix", {}).get("check", []))
    assert {"lint", "test", "gpu", "publish-notebooks"} <= called
    assert called <= TARGETS


def test_actions_are_pinned_and_leave_no_credentials():
    for _, step in steps():
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_only_publishing_and_reporting_may_write():
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text())["permissions"] == {}
    writers = {
        (file, name): {what for what, level in job["permissions"].items() if level == "write"}
        for file, name, job in jobs()
        if "write" in job.get("permissions", {}).values()
    }
    assert writers == {
        ("publish.yml", "deploy"): {"pages", "id-token"},
        ("publish.yml", "notebooks"): {"contents"},
        ("nightly.yml", "report"): {"issues"},
    }


def test_jobs_with_a_writing_token_for_the_site_run_none_of_our_code():
    for file, name, job in jobs():
        if (file, name) in {("publish.yml", "deploy"), ("nightly.yml", "report")}:
            for step in job["steps"]:
                assert "checkout" not in step.get("uses", "")
                assert not re.search(r"\bmake\b", step.get("run", ""))


def test_only_main_runs_on_the_gpu_runner():
    on_gpu = [(file, job) for file, _, job in jobs() if "GPU_RUNNER" in job["runs-on"]]
    assert [file for file, _ in on_gpu] == ["publish.yml"]
    assert on_gpu[0][1]["if"] == "github.ref == 'refs/heads/main'"
    # YAML reads the key `on` as true.
    triggers = yaml.safe_load((ROOT / ".github/workflows/publish.yml").read_text())[True]
    assert triggers == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
