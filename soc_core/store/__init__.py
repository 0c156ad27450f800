"""Keep events: one interface, several implementations, one contract suite."""
