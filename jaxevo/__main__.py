"""`python -m jaxevo`."""

import sys

from jaxevo.cli import main

sys.exit(main())
