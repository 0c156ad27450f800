"""Serve ``/api/v1/whereabouts``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from cases.whereabouts import Answer, Question, who_was
from soc_api.limits import QUESTION_TURN
from soc_api.negotiation import language_of
from soc_api.parameters import Instant, Language
from soc_api.problems import answers
from soc_api.security import CallerDependency
from soc_api.services import Services, ServicesDependency
from soc_api.whereabouts.schemas import AnswersOut, answer_out
from soc_core.organisations.repository import load_tree, today

router = APIRouter(
    prefix="/api/v1/whereabouts",
    tags=["events"],
    responses=answers(401, 422, 429, 503),
    dependencies=[QUESTION_TURN],
)


class WhereaboutsQuery(BaseModel):
    """Take an address, a time and what narrows the question."""

    model_config = ConfigDict(extra="forbid")
    address: str = Field(max_length=45, description="IPv4 or IPv6, inside or a school's exit")
    at: Instant
    organisation: str = Field("", max_length=32, description="id of a unit; units below it are included")
    zone: str = Field("", max_length=64)
    port: int = Field(0, ge=0, le=65_535, description="source port at the exit")
    language: Language | None = None


@router.get("")
def show(
    request: Request,
    caller: CallerDependency,
    services: ServicesDependency,
    asked: Annotated[WhereaboutsQuery, Query()],
) -> AnswersOut:
    """Say who had an address at a time, by unit and zone, the surest answer first."""
    scope = caller.narrowed(asked.organisation)
    found = look_up(services, Question(asked.address, asked.at, scope, asked.zone, asked.port))
    language = asked.language or language_of(request)
    return AnswersOut(items=[answer_out(answer, language) for answer in found])


def look_up(services: Services, question: Question) -> list[Answer]:
    """Return the answers to a question by the units as they were at its time."""
    with services.database.read() as connection:
        tree = load_tree(connection, today(question.at))
        return who_was(services.reader, connection, tree, question)
