"""Turn captures and logs into ECS events: one module per source. A collector is a source (bytes) and a parser (pure)."""
