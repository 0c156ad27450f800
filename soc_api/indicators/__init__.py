"""Serve what is kept of lists of indicators: for reading; they are changed at the command line."""
