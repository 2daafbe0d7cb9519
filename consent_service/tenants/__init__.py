"""Customer workspaces and their sites; every other row belongs to one of them."""
