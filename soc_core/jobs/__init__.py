"""Keep every timer, deadline, lease and outgoing change as rows that survive a crash."""
