"""Consent Service: signed consent records, a gate for trackers, and a banner for one script tag."""

__version__ = "0.1.0"
