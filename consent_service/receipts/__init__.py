"""Receipts: what a visitor holds of a choice, and how anybody checks it."""
