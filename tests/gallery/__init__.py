"""Pictures of all that a visitor can see, for the documentation."""
