"""Turn the payload of one conversation into ECS fields: one protocol a file, bytes in, fields out (DESIGN §5.5)."""
