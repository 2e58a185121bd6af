"""``python -m hypercurve``: the same as the command ``hypercurve``."""

import sys

from .cli.main import main

sys.exit(main())
