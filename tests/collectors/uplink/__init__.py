"""Tests of collectors.uplink."""
