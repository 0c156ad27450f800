"""Ask history what rules would have found: retro-hunt."""
