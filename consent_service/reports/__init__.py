"""Impressions, rollups and honest rates: what share of those who were asked said yes."""
