"""IPython start-up file: what a cell prints arrives when it ends, or shows a figure, in one piece.

Otherwise it is cut into pieces by the clock, and where a piece ends a blank line gets lost.
"""

import sys

sys.stdout.flush_interval = sys.stderr.flush_interval = 3600  # seconds
del sys
