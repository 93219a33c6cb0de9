"""What was proven, shown to people: the results of verify plays as a table and as a page."""
