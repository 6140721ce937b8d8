"""``python -m gpuopt``."""

import sys

from gpuopt.cli import main

sys.exit(main())
