"""Tell what is known against the packages in the locks.

A package with a known vulnerability fails; a database that can't be reached is said, and does
not: it is no fault of the lock, and lint has to work on a train. The nightly checks run it where
the database can be reached.
"""

import json
import subprocess
import sys

sound = True
for lock in ("requirements.lock", "tests/requirements.lock"):
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    command += ["--progress-spinner=off", "--format=json", "--requirement", lock]
    answer = subprocess.run(command, capture_output=True, text=True)
    try:
        packages = json.loads(answer.stdout)["dependencies"]
    except ValueError:
        reason = answer.stderr.strip().rpartition("\n")[2]
        print(f"audit: {lock} was not audited, as the database could not be asked: {reason}")
        continue
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped:
        print(f"audit: {lock}: {len(skipped)} of {len(packages)} packages could not be audited.")
    for package in packages:
        for known in package.get("vulns", []):
            sound = False
            mended = ", ".join(known["fix_versions"]) or "no release yet"
            print(
                f"{lock}: {package['name']} {package['version']}: {known['id']}, mended in {mended}"
            )
sys.exit(not sound)
