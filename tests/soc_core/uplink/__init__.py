"""Tests of soc_core.uplink."""
