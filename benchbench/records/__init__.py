"""What trials leave: events, records, journals, machine facts, and the names of metrics and files."""
