"""Send to the parent centre what policy says: a centre is an agent of its parent."""
