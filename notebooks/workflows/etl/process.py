"""The mean of each year."""

import json
import statistics
import sys
from collections import defaultdict

with open(sys.argv[sys.argv.index("--variables-file") + 1], encoding="utf-8") as file:
    variables = json.load(file)

by_year = defaultdict(list)
for date, value in variables["rows"]:
    if int(date[:4]) >= variables["since"]:
        by_year[date[:4]].append(value)
means = {year: round(statistics.fmean(values), 2) for year, values in by_year.items()}
print(json.dumps({"means": means, "count": len(means)}))
