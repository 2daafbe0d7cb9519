"""What visitors are shown: purposes, services, cookies and texts, in versions that never change."""
