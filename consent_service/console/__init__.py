"""Pages for people, in English and Swahili: they do what the management API does, and no more."""
