"""Hold one module per command of the command line (DESIGN §13)."""
