"""The append-only Merkle log of a tenant's records: what was recorded stays provable."""
