"""What is found wrong is told, whatever agents send beside it."""

from __future__ import annotations

from intake.agents.receiving import FOREIGN_UNIT
from intake.health import Finding, event_of
from soc_core.model.event import ORGANIZATION_ID
from tests.intake.agents.conftest import Centre, made


def test_an_agent_cannot_take_the_id_of_what_will_be_found_of_it(centre: Centre) -> None:
    player = centre.join("one", "S1")
    agent = centre.agent("one")
    finding = Finding(FOREIGN_UNIT, agent.organization_id, agent.id)
    forged = {**made(1)[0], **event_of(finding, agent.organization_id, centre.time())}
    forged["event.dataset"] = "harmless"
    player.send([forged], at=0)
    player.send([{**made(1, start=1)[0], ORGANIZATION_ID: "another"}])
    assert [event["event.action"] for event in centre.events("edusoc.health")] == [FOREIGN_UNIT]
