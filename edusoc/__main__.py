"""Run the command line: ``python -m edusoc``."""

import sys

from edusoc.cli import main

sys.exit(main())
