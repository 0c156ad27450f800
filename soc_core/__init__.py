"""Hold the kernel of edusoc: fields, events, log, store, organisations. It imports no other package of ours."""
