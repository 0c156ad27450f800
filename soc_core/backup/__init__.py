"""Keep a whole installation in one place and bring it back: events, operational state, models, settings, keys."""
