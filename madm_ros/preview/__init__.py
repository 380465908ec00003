"""``segment --preview``: what the node does, as a page for a browser on the same machine."""
