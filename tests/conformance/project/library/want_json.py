#!/usr/bin/python3
# WANT_JSON
import json
import sys
from pathlib import Path

arguments = json.loads(Path(sys.argv[1]).read_text())
print(json.dumps({"changed": False, "got": arguments["word"]}))
