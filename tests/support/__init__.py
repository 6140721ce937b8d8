"""What several test modules need, and tests of that itself."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
