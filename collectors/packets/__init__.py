"""Read packet captures: index, meter, reassemble, dissect, emit (DESIGN §5)."""
