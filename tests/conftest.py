"""What holds for every test: the settings of whoever runs them are not those of the programs that they start."""

import os

for _name in [name for name in os.environ if name.startswith("SLUICEGATE_")]:
    del os.environ[_name]
