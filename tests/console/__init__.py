"""The console, as people see it."""
