"""Define what flows through the system: events, detections, organisations, assets."""
