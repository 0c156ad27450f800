"""Define the one family of errors that users see.

Tree::

    EdusocError
    ├── UsageError           wrong use or configuration            exit code 2
    │   └── ConflictError    it was changed by somebody else       exit code 2
    ├── InputError           a file or record that can't be read   exit code 1
    ├── StoreError           the store refuses or is damaged       exit code 3
    │   ├── StoreBusyError   another process holds the writer lock exit code 3
    │   └── StoreAccessError the store's server does not let us in exit code 2
    └── NotAllowedError      the caller's scope forbids it         exit code 2

Every error says what went wrong, where (``file:line``, offset or record id) and what to do next, so that a
message is useful on its own in a log, on the screen and in an API answer.
"""

from __future__ import annotations


class EdusocError(Exception):
    """Carry what happened, where, and what to do next."""

    exit_code = 3

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        """Keep the three parts; ``str()`` joins those that are present."""
        self.what = what
        self.where = where
        self.todo = todo
        super().__init__(what, where, todo)

    def __str__(self) -> str:
        """Return ``where: what. todo`` on one line."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head} — {self.todo}" if self.todo else head


class UsageError(EdusocError):
    """Report wrong use or configuration (exit code 2)."""

    exit_code = 2


class ConflictError(UsageError):
    """Report that what is to be changed was changed by somebody else meanwhile."""


class InputError(EdusocError):
    """Report an input that can't be read at all (exit code 1); single bad records are ``BadRecord`` instead."""

    exit_code = 1


class StoreError(EdusocError):
    """Report that the store refused a request or is damaged (exit code 3)."""


class StoreBusyError(StoreError):
    """Report that another process holds the writer lock."""


class StoreAccessError(StoreError):
    """Report that the store's server does not let us in: certificate, user, password, privilege (exit code 2)."""

    exit_code = 2


class NotAllowedError(EdusocError):
    """Report that the caller's scope does not cover what was asked for."""

    exit_code = 2
