"""Self-contained HTML pages with charts: what reports are made of."""
