"""A tenant's users over HTTP: members, invitations, and where they sign in."""
