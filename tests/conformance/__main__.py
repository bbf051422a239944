"""`python -m tests.conformance` writes docs/ray-differences.md from the suite's `differs` marks."""

from __future__ import annotations

from tests.conformance.differences import PAGE, page

PAGE.write_text(page())
print(f"wrote {PAGE}")
