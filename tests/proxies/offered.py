"""What an installed package of somebody else might offer."""

import proxies

NUMBER = 3


def theirs(network, batch):
    return 7.0


@proxies.register("registered", direction="lower", revision=3)
def registered(network, batch):
    return 8.0
