"""API keys over HTTP, for those who give programs access to a tenant."""
