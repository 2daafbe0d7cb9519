"""Members of a tenant, invitations, and where they sign in."""
