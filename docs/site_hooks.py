"""What mkdocs does beside building pages.

Docstrings are written for help() and editors too: their cross-reference roles and the double colon before an example
are reStructuredText, which Markdown would show as they are. Links to other sites are listed, not followed, because a
build must not depend on a network.
"""

import re
from pathlib import Path
from typing import Any

ROLE = re.compile(r":(?:class|meth|func|attr|mod|data|exc):(?=<code>)")
EXTERNAL = re.compile(r'href="(https?://[^"]+)"')
LIST = "external_links.txt"

_links: dict[str, set[str]] = {}


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Called by mkdocs with each page's own HTML."""
    for link in EXTERNAL.findall(html):
        _links.setdefault(link, set()).add(page.file.src_uri)
    return ROLE.sub("", html).replace("::</p>", ":</p>")


def on_post_build(config: Any) -> None:
    """Called by mkdocs at the end: writes where each link to another site is."""
    lines = [f"{link}  {' '.join(sorted(pages))}" for link, pages in sorted(_links.items())]
    (Path(config.site_dir) / LIST).write_text("\n".join(lines) + "\n", encoding="utf-8")
