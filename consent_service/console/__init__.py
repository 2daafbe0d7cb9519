"""Pages for those who run consent: over the same services and permissions as the API."""
