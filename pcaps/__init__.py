"""Make and describe the bundled captures and logs: labelled, small, and the same bytes on every machine."""
