"""The one script that a site embeds, and its configuration."""
