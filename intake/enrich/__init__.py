"""Add to events what the centre knows: whose device, which maker, where an address lies, what time of school it was.

Each enricher is a function of one event and of what it looks things up in, adds fields and never changes or removes
one. What it adds is stored, so it says how things were when the event came in.
"""
