"""Join what rules did with what people made of their alerts."""
