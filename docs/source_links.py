"""A hook of MkDocs: links from a page to files outside docs/, which the site does not hold, lead to the repository."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"(\]\()\.\./([^)\s]+)\)")


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Replace `](../<path>)` by the address of the file in the repository."""
    return OUTSIDE.sub(lambda link: f"{link[1]}{config.repo_url}/blob/main/{link[2]})", markdown)
