"""Keep alerts (告警): mutable cases to which immutable detections attach."""
