"""Judge windows of flows, DNS queries and log-ins by plain, documented thresholds and by one learned model."""
