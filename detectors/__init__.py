"""Turn events into detections: Sigma rules and anomaly detectors, one file each."""
