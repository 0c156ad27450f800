"""Turn captures and logs into ECS events: one module per source. A collector is a source and a pure parser."""
