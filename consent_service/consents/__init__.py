"""Records of visitors' decisions: signed, append-only, bound to the visitor by a token."""
