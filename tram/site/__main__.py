"""`python -m tram.site`."""

import sys

from tram.site.command import main

sys.exit(main())
