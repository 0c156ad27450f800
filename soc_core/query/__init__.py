"""Hold the one query tree, its evaluator and its languages: analyst language, API filters and Sigma all become it."""
