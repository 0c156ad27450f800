from datetime import UTC, datetime, timedelta

from soc_core.jobs import jobs
from soc_core.state.database import Database

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_a_job_is_done_once_by_one_holder(database: Database) -> None:
    with database.write() as connection:
        jobs.add(connection, "k", ["a", "b"], NOW)
        jobs.add(connection, "k", ["a"], NOW)
        first = jobs.lease(connection, "k", now=NOW, length=MINUTE, limit=1)
        second = jobs.lease(connection, "k", now=NOW, length=MINUTE)
        assert ([job.key for job in first], [job.key for job in second]) == (["a"], ["b"])
        jobs.finish(connection, [*first, *second])
        assert jobs.waiting(connection, "k") == []


def test_a_lease_runs_out(database: Database) -> None:
    with database.write() as connection:
        jobs.add(connection, "k", ["a"], NOW)
        jobs.lease(connection, "k", now=NOW, length=MINUTE)
        assert jobs.lease(connection, "k", now=NOW, length=MINUTE) == []
        again = jobs.lease(connection, "k", now=NOW + MINUTE, length=MINUTE)
    assert [job.attempts for job in again] == [2]


def test_a_job_added_while_worked_on_is_done_again(database: Database) -> None:
    with database.write() as connection:
        jobs.add(connection, "k", ["a"], NOW)
        taken = jobs.lease(connection, "k", now=NOW, length=MINUTE)
        jobs.add(connection, "k", ["a"], NOW)
        jobs.finish(connection, taken)
        assert [job.key for job in jobs.lease(connection, "k", now=NOW, length=MINUTE)] == ["a"]


def test_a_job_waits_until_it_is_due(database: Database) -> None:
    with database.write() as connection:
        jobs.add(connection, "k", ["a"], NOW + MINUTE)
        assert jobs.lease(connection, "k", now=NOW, length=MINUTE) == []


def test_what_a_failed_transaction_did_is_gone(database: Database) -> None:
    try:
        with database.write() as connection:
            jobs.add(connection, "k", ["a"], NOW)
            raise KeyError("stop")
    except KeyError:
        pass
    with database.read() as connection:
        assert jobs.waiting(connection, "k") == []
