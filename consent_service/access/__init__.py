"""Who may call what: each blueprint in ``app.py``'s table names its hook."""
