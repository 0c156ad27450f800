"""Wire everything together: the command line and the composition root. Only this package knows all others."""
