"""Collect from what never ends: sockets, growing files, interfaces. One input a module, all alike (``base``)."""
