"""Fan-outs: how inbox changes reach the gateways."""
