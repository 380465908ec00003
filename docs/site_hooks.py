"""What mkdocs changes in the pages that mkdocstrings makes: docstrings are written for help() and editors too.

Cross-reference roles and the double colon before an example are reStructuredText, which Markdown shows as they are.
"""

import re
from typing import Any

ROLE = re.compile(r":(?:class|meth|func|attr|mod|data|exc):(?=<code>)")


def on_page_content(html: str, **_: Any) -> str:
    """Called by mkdocs with each page's HTML."""
    return ROLE.sub("", html).replace("::</p>", ":</p>")
