"""Hold one scenario per module; ``registry`` lists them all."""
