"""Write files with names that careless shell scripts cannot handle."""

import pathlib

NAMES = (
    "plain.csv",
    "with space.csv",
    "-dash.csv",
    "it's quoted.csv",
    'double"quote.csv',
    "semi;colon.csv",
    "$(dollar).csv",
    "star*.csv",
    "ünïcode.csv",
    "[brackets].csv",
    "plain.txt",
    "tab\there.txt",
)

base = pathlib.Path("output/names")
(base / "high").mkdir(parents=True)
for number, name in enumerate(NAMES):
    (base / name).write_text(f"{number}\n")
for number in range(3):
    (base / "high" / f"rows {number}.csv").write_text("id\n1\n")
print(f"wrote {len(NAMES)} files")
