"""Real servers that tests start by themselves: databases, brokers, proxies. One file each."""
