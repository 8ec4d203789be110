"""`python -m edgevid`."""

import sys

from edgevid.cli import main

sys.exit(main())
