"""Take the versions out of the requirements, so that `make lock` picks the newest releases.

Jupyter Book keeps its own: 2.x is another program, which does not build this book.
"""

import re
import sys
from pathlib import Path

for path in map(Path, sys.argv[1:]):
    lines = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^(?!jupyter-book)([\w.-]+)==\S+", r"\1", lines), encoding="utf-8")
