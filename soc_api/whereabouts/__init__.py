"""Say who had an address at a time."""
