"""A small site of Momo Pulse that shows the service at work; only served in demo mode."""
