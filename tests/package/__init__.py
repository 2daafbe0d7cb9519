"""The npm package: what is published, and what it does on a page."""
