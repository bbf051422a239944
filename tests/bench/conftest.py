"""The bench is not installed: it is imported from the repository."""

from __future__ import annotations

import sys
from pathlib import Path

# At the end, so that the installed snakepit is found before the one beside bench/.
sys.path.append(str(Path(__file__).parents[2]))
