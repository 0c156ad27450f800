"""Keep units (单位): immutable ids, dated codes, names and parents, network zones, assets, and who may see which."""
