"""Tests of collectors.agent."""
