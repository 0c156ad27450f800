"""Show how the event store is and what it keeps."""
