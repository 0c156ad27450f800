"""Serve the console: pages in Chinese and English for analysts, schools and auditors."""
