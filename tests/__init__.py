"""Tests of the Consent Service, with real servers and a real browser."""
