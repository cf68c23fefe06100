"""What a scalar of YAML is to an API server (1.34); `tests/cluster/test_admission.py` asks one."""

from __future__ import annotations

#: Written, and read; of floats the type counts too.
SCALARS: dict[str, object] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "on", "On", "true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "NO", "off", "OFF", "false"), False),
    **{text: text for text in ("tRue", "_1", "1.2.3", "0x", "1e", "1e400", "0x_1x", "12:30:45", "2020-01-01")},
    **{text: text for text in ("<<", "=", "190:20:30", "2020-01-01T00:00:00Z")},
    **dict.fromkeys(("80", "80.0", "80.", "+80", "+80.0", "8e1", "8.0e1", "8E+1", "08e1"), 80),
    **dict.fromkeys(("0x50", "0X50", "0b1010000", "0120"), 80),
    "08": 8,
    "09": 9,
    "0777": 511,
    "0o17": 15,
    "0O17": 15,
    "0B11": 3,
    "-0b11": -3,
    "1_000": 1000,
    "-0.0": 0,
    "-80": -80,
    "0.5": 0.5,
    ".5": 0.5,
    "80.5": 80.5,
    "1e-7": 1e-7,
    "1e20": 10**20,
    "1e21": 1e21,
}
#: What no JSON has.
REFUSED = (".inf", "-.inf", ".nan", ".NaN")
