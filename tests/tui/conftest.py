"""The screen under test: no animation, no clock, flushed by hand."""

from __future__ import annotations

import os

os.environ["TEXTUAL_ANIMATIONS"] = "none"  # read when Textual is imported, hence before everything else
