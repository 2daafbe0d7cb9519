"""Ledgers: the tree, its formats, and the worker that adds to them."""
