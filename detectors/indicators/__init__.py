"""Match events against lists of indicators: addresses, networks, names, URLs, hashes, TLS prints, certificates."""
