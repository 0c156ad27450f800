"""Take events in: enrich, append durably, detect. The pipeline between the log and the cases."""
