"""The bar is drawn on any terminal, and nowhere else."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from pathlib import Path

import pytest

from collectors.reading import ReadBatch
from edusoc.progress import ReadingBar


@pytest.mark.parametrize("size", [(40, 120), (0, 0)])
def test_bar_is_drawn_on_terminals_that_do_not_know_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(bytes(1_000))
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        with ReadingBar([str(path)]) as bar:
            bar.update(ReadBatch(str(path), "syslog", [], [], {}, done=1_000))
    assert "100%" in _all_of(ours)


def _all_of(terminal: int) -> str:
    """Return all that was written to a terminal whose other side is closed; Linux ends it with an error."""
    shown = b""
    try:
        while piece := os.read(terminal, 65_536):
            shown += piece
    except OSError:
        pass
    finally:
        os.close(terminal)
    return shown.decode()


def test_nothing_is_drawn_elsewhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ReadingBar([str(tmp_path)]) as bar:
        bar.update(ReadBatch("a", "syslog", [], [], {}, done=10))
    assert capfd.readouterr().err == ""
