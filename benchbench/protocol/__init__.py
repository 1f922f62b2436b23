"""What the driver and its workers say to each other: plain data."""
