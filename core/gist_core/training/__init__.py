"""How the weights are made: data, losses, loop, fusion, export."""
