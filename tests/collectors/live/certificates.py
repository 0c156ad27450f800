"""Write an authority's and its certificates' files for servers and clients of network inputs."""

from __future__ import annotations

from pathlib import Path

from tests import elasticsearch_security


class Authority:
    """Issue certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = elasticsearch_security.Authority.make()
        self.file = self._authority.write(folder / "authority.pem")

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return files with a certificate and its key, for 127.0.0.1 and localhost."""
        issued = self._authority.issue(names=("127.0.0.1", "localhost"))
        paths = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        for path, content in zip(paths, (issued["http.crt"], issued["http.key"]), strict=True):
            path.write_bytes(content)
        return paths
