"""Lets a program that reads numbers and writes numbers speak the protocol of stages.

adapter.py PROGRAM forward
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

request = json.loads(Path("request.json").read_text())
given = {
    name: np.load(entry["file"])
    for kind in request["given"].values()
    for name, entry in kind.items()
}
words = [given["stochastic"], given["constant"], *given["energy"]]
text = " ".join(repr(float(each)) for each in words)
done = subprocess.run([sys.argv[1]], input=text, capture_output=True, text=True, check=True)
found = np.array(done.stdout.split(), dtype=np.float64)
np.save(request["wanted"]["outputs"]["resolution"]["file"], found)
