"""Make the demo's world: fictional units, captures and logs moved to the last days, months of history, a summary."""
