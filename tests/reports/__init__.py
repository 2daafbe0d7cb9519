"""Tests of impressions, rollups and rates."""
