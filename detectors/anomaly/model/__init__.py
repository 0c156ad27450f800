"""Learn what connections are usual at a place, and keep what was learned in a file that can be checked."""
