"""Keep lists of indicators: import, compile, allow, search history, count hits."""
