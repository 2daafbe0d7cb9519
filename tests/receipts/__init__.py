"""Receipts, and what is needed to check them by other means than the service's own."""
