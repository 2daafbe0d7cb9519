"""The audit log over HTTP, and as a file: who changed what."""
