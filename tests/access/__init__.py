"""Tests of who may do what, and of how people sign in."""
