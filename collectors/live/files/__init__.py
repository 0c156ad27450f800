"""Follow files that grow, are rotated, truncated, packed and replaced: the input kind ``files``.

``finding`` finds paths, ``content`` reads bytes, ``marks`` and ``checkpoints`` remember how far, ``lines``, ``whole``
and ``windows`` read the three sorts of files, ``gathering`` delivers, ``watching`` ties names to contents, ``tailing``
runs it all.
Decision record 0017 says why it is built this way.
"""

from collectors.live.files.tailing import FilesInput, build

__all__ = ["FilesInput", "build"]
