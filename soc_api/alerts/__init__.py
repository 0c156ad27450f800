"""List, show and change alerts."""
