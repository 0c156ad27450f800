"""Stream changes to open pages."""
