"""Log in and out, and say who is logged in."""
