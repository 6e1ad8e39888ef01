"""Asks this pod for a path and prints the answer, because a slim image has no curl.

    python -m app.get /debug/db-pool
"""

import os
import sys
import urllib.error
import urllib.request

# POD_IP is in the environment of the container (deploy/deployment.yaml).
address = os.environ.get("POD_IP", "127.0.0.1")
try:
    answer = urllib.request.urlopen(f"http://{address}:8000{sys.argv[1]}", timeout=5)
except urllib.error.HTTPError as error:
    answer = error
print(answer.read().decode())
sys.exit(answer.status != 200)
