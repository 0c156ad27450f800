"""Say who had an address at a time: gather evidence from what was logged, weigh it, and say how sure it is."""

from cases.whereabouts.asking import Question, who_was
from cases.whereabouts.model import Answer, Candidate, Certainty, Evidence

__all__ = ["Answer", "Candidate", "Certainty", "Evidence", "Question", "who_was"]
