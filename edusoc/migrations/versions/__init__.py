"""Hold one module per migration."""
