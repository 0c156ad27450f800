"""Keep agents: who may send for which units, by which key; what came of each; what is asked of them."""
