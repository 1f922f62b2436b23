"""Is made from a base class that there is not."""

import benchbench as bb


class Net(bb.Network, name="net"):  # type: ignore[misc, name-defined]
    pass
