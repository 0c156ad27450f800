"""Keep what people work on: alerts to which detections attach. Alerts change, detections never."""
