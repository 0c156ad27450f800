"""Define what a question about an address gives."""

from __future__ import annotations

from pydantic import BaseModel

from cases.whereabouts import Answer, Candidate, Evidence
from soc_api.whereabouts.words import told
from soc_core.clock import format_instant


class EvidenceOut(BaseModel):
    """Give one piece of evidence; ``until`` is empty where nobody said how long it held."""

    kind: str
    at: str
    until: str
    event_id: str
    dataset: str
    weight: float


class CandidateOut(BaseModel):
    """Give one device that may have had the address; ``score`` (0 to 1) orders, it is no probability."""

    mac: str
    hosts: list[str]
    users: list[str]
    places: list[str]
    score: float
    evidence: list[EvidenceOut]


class SessionOut(BaseModel):
    """Give one session of an address translation."""

    inside: str
    port: int
    at: str
    event_id: str
    device: str


class AnswerOut(BaseModel):
    """Give the answer of one unit and zone; ``hints`` say in words what would tell more."""

    address: str
    at: str
    organisation_id: str
    zone: str
    certainty: str
    candidates: list[CandidateOut]
    translations: list[SessionOut]
    hints: list[str]
    partial: str


class AnswersOut(BaseModel):
    """Give all answers, the surest first."""

    items: list[AnswerOut]


def answer_out(answer: Answer, language: str) -> AnswerOut:
    """Return an answer as the API gives it."""
    return AnswerOut(
        address=answer.address,
        at=format_instant(answer.at),
        organisation_id=answer.organization_id,
        zone=answer.zone,
        certainty=answer.certainty.value,
        candidates=[_candidate(candidate) for candidate in answer.candidates],
        translations=[
            SessionOut(
                inside=one.inside,
                port=one.port,
                at=format_instant(one.at),
                event_id=one.event_id,
                device=one.device,
            )
            for one in answer.translations
        ],
        hints=[told(f"hint.{hint.key}", language, hint.values) for hint in answer.hints],
        partial=answer.partial,
    )


def _candidate(candidate: Candidate) -> CandidateOut:
    return CandidateOut(
        mac=candidate.mac,
        hosts=list(candidate.hosts),
        users=list(candidate.users),
        places=list(candidate.places),
        score=candidate.score,
        evidence=[_evidence(item) for item in candidate.evidence],
    )


def _evidence(item: Evidence) -> EvidenceOut:
    return EvidenceOut(
        kind=item.kind.value,
        at=format_instant(item.at),
        until="" if item.until is None else format_instant(item.until),
        event_id=item.event_id,
        dataset=item.dataset,
        weight=round(item.weight, 3),
    )
