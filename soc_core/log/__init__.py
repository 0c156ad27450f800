"""Keep records durably in order: the one append-only log, agent spool and centre journal alike.

A log is a directory of files named by the first offset they hold. Offsets count *items* (a record holds one or more),
start at 0, only rise and never change. One process writes (``LogWriter``), any number read (``LogReader``); readers see
what is committed, that is, written and fsynced, and nothing else.
"""

from soc_core.log.cursor import Cursor
from soc_core.log.frames import Damage, Record
from soc_core.log.lock import WriterLock
from soc_core.log.reader import LogReader
from soc_core.log.writer import LogWriter

__all__ = ["Cursor", "Damage", "LogReader", "LogWriter", "Record", "WriterLock"]
