"""Understand what network and security devices write into syslog: one product family a module (``base``)."""
