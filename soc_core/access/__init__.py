"""Keep people's accounts, their sessions and what each role may do."""
