"""Run the agent: inputs, privacy, spool, uplink, orders (``edusoc collect``). Imports nothing heavy by itself."""
