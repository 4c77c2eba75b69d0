"""`python -m kerasfound` is `kerasfound`."""

from kerasfound.cli import main

main()
