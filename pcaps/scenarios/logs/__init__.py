"""Hold the scenarios whose output is logs, one folder of logs per module."""
