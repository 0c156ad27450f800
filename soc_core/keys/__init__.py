"""Keep every secret and key of an installation: one file each, readable by its owner only."""
