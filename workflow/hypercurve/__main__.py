"""``python -m hypercurve``: the same as the command ``hypercurve``."""

import sys

from .cli import main

sys.exit(main())
