"""What mutates and judges are plain modules, that a longer run imports as well: `tests.fuzz.checkpoints`."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
if str(REPOSITORY) not in sys.path:
    sys.path.insert(0, str(REPOSITORY))
