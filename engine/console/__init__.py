"""Pages for browsers and their static files; no build step, nothing from other hosts. The API serves them."""
