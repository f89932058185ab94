"""Fault tests write slides as the tests of slides do, and start programs that lie beside them."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "core" / "slides")]
