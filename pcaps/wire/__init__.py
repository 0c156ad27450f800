"""Build packets, connections and capture files byte by byte, fast and without any packet library."""
